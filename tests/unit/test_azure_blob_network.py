from __future__ import annotations

import pytest

from deepanalyze.datasources.connectors.azure_blob.network import is_beyond_doubt
from deepanalyze.datasources.policy import ANYWHERE, NetworkPolicy


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("acme.blob.core.windows.net", True),
        ("acme.blob.core.chinacloudapi.cn", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("10.0.0.7", False),  # whatever answers there may redirect
        ("203.0.113.7", False),
        ("blobs.acme.example", False),
        ("core.windows.net.acme.example", False),
    ],
)
def test_which_hosts_obstore_may_reach_by_itself(host: str, expected: bool) -> None:
    assert is_beyond_doubt(host, ANYWHERE) is expected


def test_networks_have_to_be_checked_at_the_address() -> None:
    policy = NetworkPolicy.of(["10.0.0.0/8"])
    assert not is_beyond_doubt("acme.blob.core.windows.net", policy)
    assert is_beyond_doubt("acme.blob.core.windows.net", NetworkPolicy.of(["*.blob.core.windows.net"]))
