"""Where connections may go, checked at the moment of connecting."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from deepanalyze.datasources.connectors.azure_blob.account import is_address
from deepanalyze.datasources.policy import NetworkPolicy

_AZURE_DOMAINS = (
    ".core.windows.net",
    ".storage.azure.net",
    ".core.chinacloudapi.cn",
    ".core.usgovcloudapi.net",
)


class CheckedResolver(AbstractResolver):
    """The system's resolver, without the addresses that this source may not reach. Raises HostNotAllowed."""

    def __init__(self, policy: NetworkPolicy) -> None:
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._policy.addresses(host, port)
        ]

    async def close(self) -> None:
        pass


class UnfoldedSession:
    """aiohttp's session as the SDK's transport uses it, but for the `..` that a blob's name may have in it: aiohttp
    would fold it, and so ask for another blob. Paths are quoted as the SDK signs them.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.auto_decompress = session.auto_decompress

    async def request(self, method: str, url: str, **options: Any) -> aiohttp.ClientResponse:
        parts = urlsplit(url)
        quoted = urlunsplit(parts._replace(path=str(URL(parts.path))))
        return await self._session.request(method, URL(quoted, encoded=True), **options)

    async def close(self) -> None:
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


async def check_address(host: str, policy: NetworkPolicy, *, by_name: bool) -> None:
    """For hosts that no resolver of ours sees: those given as an address, and `by_name` those that a proxy may look up,
    as far as they are known here. Raises HostNotAllowed.

    aiohttp takes whatever looks like digits and dots for an address: `2852039166` is 169.254.169.254.
    """
    if by_name or is_address(host) or host.replace(".", "").isdigit():
        with contextlib.suppress(OSError):  # connecting tells what is wrong with it
            await policy.addresses(host, 0)


def is_beyond_doubt(host: str, policy: NetworkPolicy) -> bool:
    """obstore resolves names by itself and follows redirects, both unchecked: it is used only with Azure itself, which
    redirects nowhere, and with this machine's own accounts (emulators), where it reaches no other host.
    """
    if is_address(host):
        return ipaddress.ip_address(host).is_loopback
    return policy.admits_name(host) and (host == "localhost" or host.endswith(_AZURE_DOMAINS))
