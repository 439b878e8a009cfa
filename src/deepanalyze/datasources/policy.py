"""Where sources may connect to: the administrator's networks, and never an address by which a cloud hands out a
machine's identity.
"""

from __future__ import annotations

import asyncio
import fnmatch
import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepanalyze.errors import HostNotAllowed, InvalidRequest

_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",
        "fe80::/10",
        "168.63.129.16/32",  # Azure
        "fd00:ec2::254/128",  # AWS
        "fd20:ce::254/128",  # Google
        "100.100.100.200/32",  # Alibaba
        "192.0.0.192/32",  # Oracle
        "0.0.0.0/8",
        "::/128",
    )
)
# Networks whose addresses end in an IPv4 one
_ENDING_IN_IPV4 = tuple(
    ipaddress.IPv6Network(network)
    for network in ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")  # NAT64, SIIT, IPv4-compatible
)
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_IPV4 = 0xFFFFFFFF
_HOST_PATTERN = re.compile(r"[a-z0-9_*?-]+(\.[a-z0-9_*?-]+)*")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """Each layer (the server's list, then the source's own) has to admit an address; an empty layer admits all.

    An entry is a network in CIDR notation, a single address, or a pattern of host names (`*.internal`). A name that a
    pattern admits may have any address; else the address itself has to lie in one of the networks.
    """

    layers: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, *layers: Sequence[str]) -> NetworkPolicy:
        """Raises InvalidRequest for an entry that is neither network nor pattern."""
        return cls(tuple(parse_allowed(layer) for layer in layers if layer))

    def narrowed(self, allowed: Sequence[str]) -> NetworkPolicy:
        return NetworkPolicy((*self.layers, parse_allowed(allowed))) if allowed else self

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of `host` that may be used; connect to these, so that a second look-up cannot give others.

        Raises HostNotAllowed, and OSError when the name is not known.
        """
        found = await resolve(host, port)
        for address in found:
            if is_forbidden(address):
                raise HostNotAllowed(
                    f"{host!r} is a link-local or cloud metadata address; data sources may not connect there"
                )
        admitted = [address for address in found if self.admits(host, address)]
        if not admitted:
            shown = host if found == [host] else f"{host} ({', '.join(found[:4])})"
            raise HostNotAllowed(
                f"{shown} is in none of the networks that this source may connect to (allowed_networks); an "
                "administrator can add its network or name there"
            )
        return admitted

    def admits(self, host: str, address: str) -> bool:
        parsed = _unmapped(address)
        return all(_in_layer(layer, host, parsed) for layer in self.layers)

    def admits_name(self, host: str) -> bool:
        """Whether the name alone is enough, whatever its addresses are."""
        return all(_matches_name(layer, host) for layer in self.layers)


ANYWHERE = NetworkPolicy()


def parse_allowed(entries: Iterable[str]) -> tuple[str, ...]:
    """In their normal form. Raises InvalidRequest naming what is neither a network nor a pattern."""
    return tuple(_parsed(entry) for entry in entries)


def _parsed(entry: str) -> str:
    text = entry.strip().lower().rstrip(".")
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        pass
    if "/" in text or not _HOST_PATTERN.fullmatch(text) or text.replace(".", "").isdigit():
        raise InvalidRequest(
            f"{entry[:80]!r} is no network; write CIDR notation (10.0.0.0/8, fd00::/8), one address, or a pattern of "
            "host names (*.internal)",
            param="allowed_networks",
        )
    return text


async def resolve(host: str, port: int) -> list[str]:
    """Every address of the name, each once. Raises OSError when it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a part that is empty or longer than 63 characters
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_forbidden(address: str) -> bool:
    """Also where the address reaches an IPv4 one by translation or a tunnel."""
    parsed = _unmapped(address)
    return any(
        each in network
        for each in (parsed, *_embedded(parsed))
        for network in _NEVER
        if network.version == each.version
    )


def _in_layer(layer: tuple[str, ...], host: str, address: Address) -> bool:
    return _matches_name(layer, host) or any(
        address in network
        for network in map(_network, layer)
        if network is not None and network.version == address.version
    )


def _matches_name(layer: tuple[str, ...], host: str) -> bool:
    name = host.lower().rstrip(".")
    return any(_network(entry) is None and fnmatch.fnmatchcase(name, entry) for entry in layer)


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        return None


def _embedded(address: Address) -> list[Address]:
    if not isinstance(address, ipaddress.IPv6Address):
        return []
    bits = int(address)
    bits = int(address)
    found = [bits & _IPV4] if any(address in n for n in _ENDING_IN_IPV4) and bits > 1 else []
    if address in _LOCAL_NAT64:
        # By RFC 6052 for each length that the prefix may have, without bits 64 to 71; other lengths read zeros
        without_gap = (bits >> 64) << 56 | bits & (1 << 56) - 1
        ways = (bits, *(without_gap >> (88 - length) for length in (48, 56, 64)))
        found += [way & _IPV4 for way in ways if way & _IPV4 >= 1 << 24]
    tunnels = (address.sixtofour, *(address.teredo or ()))
    return [*map(ipaddress.IPv4Address, found), *(each for each in tunnels if each is not None)]


def _unmapped(address: str) -> Address:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return getattr(parsed, "ipv4_mapped", None) or parsed
