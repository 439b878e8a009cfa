from __future__ import annotations

import pytest
from starlette.datastructures import MutableHeaders

from deepanalyze.api.security_headers import SecurityHeaders


@pytest.mark.parametrize(
    ("public_url", "told"),
    [
        (None, None),
        ("http://analyst.example", None),
        ("https://analyst.example", "max-age=31536000"),
    ],
)
def test_behind_tls_browsers_are_told_to_stay_there(public_url: str | None, told: str | None) -> None:
    headers = MutableHeaders()
    SecurityHeaders(public_url).add(headers, "/health")
    assert headers.get("strict-transport-security") == told


def test_what_a_route_has_set_stays() -> None:
    headers = MutableHeaders({"Cache-Control": "private"})
    SecurityHeaders(None).add(headers, "/v1/files")
    assert headers["cache-control"] == "private"
    assert headers["x-content-type-options"] == "nosniff"
