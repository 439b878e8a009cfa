"""Which addresses a source may connect to."""

from __future__ import annotations

import pytest

from deepanalyze.datasources import HostNotAllowed, InvalidRequest
from deepanalyze.datasources.policy import ANYWHERE, NetworkPolicy, parse_allowed


@pytest.mark.requirement("6.5")
@pytest.mark.parametrize(
    ("layers", "host", "address", "admitted"),
    [
        ([], "db.example.com", "203.0.113.9", True),
        ([["10.0.0.0/8"]], "db.example.com", "10.1.2.3", True),
        ([["10.0.0.0/8"]], "db.example.com", "::ffff:10.1.2.3", True),
        ([["10.0.0.0/8"]], "db.example.com", "11.1.2.3", False),
        ([["10.0.0.0/8"]], "db.example.com", "fd00::1", False),
        ([["fd00::/8", "192.0.2.7"]], "x", "fd00::1", True),
        ([["fd00::/8", "192.0.2.7"]], "x", "192.0.2.7", True),
        ([["fd00::/8", "192.0.2.7"]], "x", "192.0.2.8", False),
        ([["*.internal"]], "db.internal", "203.0.113.9", True),
        ([["*.internal"]], "DB.Internal.", "203.0.113.9", True),
        ([["*.internal"]], "internal", "203.0.113.9", False),
        ([["*.internal"]], "db.internal.example.com", "203.0.113.9", False),
        ([["10.0.0.0/8"], ["10.1.0.0/16"]], "x", "10.1.0.1", True),
        ([["10.0.0.0/8"], ["10.1.0.0/16"]], "x", "10.2.0.1", False),
        ([["10.0.0.0/8"], ["*.internal"]], "db.internal", "11.0.0.1", False),
    ],
)
def test_every_layer_has_to_admit_an_address(
    layers: list[list[str]], host: str, address: str, admitted: bool
) -> None:
    assert NetworkPolicy.of(*layers).admits(host, address) is admitted


@pytest.mark.parametrize(
    "entry", ["10.0.0.0/33", "10.0.0", "db.internal/8", "a b", "", "*.int ernal", "http://x"]
)
def test_what_is_no_network_is_named(entry: str) -> None:
    with pytest.raises(InvalidRequest, match="no network"):
        parse_allowed([entry])


async def test_addresses_written_oddly_are_the_addresses_that_they_are() -> None:
    for host in ("2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "::ffff:169.254.169.254"):
        with pytest.raises((HostNotAllowed, OSError)):
            await NetworkPolicy.of(["0.0.0.0/0", "::/0", "*"]).addresses(host, 5432)


async def test_only_the_admitted_addresses_of_a_name_are_given() -> None:
    assert await ANYWHERE.addresses("127.0.0.1", 1) == ["127.0.0.1"]
    assert await NetworkPolicy.of(["127.0.0.0/8"]).addresses("localhost", 1) == ["127.0.0.1"]
    with pytest.raises(HostNotAllowed, match=r"127\.0\.0\.1 is in none of the networks.*allowed_networks"):
        await NetworkPolicy.of(["10.0.0.0/8"]).addresses("127.0.0.1", 1)
    with pytest.raises(HostNotAllowed, match="localhost"):
        await ANYWHERE.narrowed(["10.0.0.0/8"]).addresses("localhost", 1)
