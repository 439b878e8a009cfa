"""Where no source may connect to: addresses by which a machine's cloud hands out its identity."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from deepanalyze.errors import HostNotAllowed

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


async def allowed_addresses(host: str, port: int) -> list[str]:
    """The addresses of `host`; connect to these, so that a second look-up cannot give others.

    Raises HostNotAllowed, and OSError when the name is not known.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a part that is empty or longer than 63 characters
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if is_forbidden(address):
            raise HostNotAllowed(
                f"{host!r} is a link-local or cloud metadata address; data sources may not connect there"
            )
    return addresses


def is_forbidden(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped or parsed
    return any(parsed in network for network in _NEVER if network.version == parsed.version)
