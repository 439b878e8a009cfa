"""Who may talk to this server: from which addresses, and under which of the server's names."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from deepanalyze.errors import PermissionDenied
from deepanalyze.settings import Settings

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ClientAddress:
    """Finds out the client's address (in `scope["state"]["client_address"]`; None: unknown).

    What a proxy says in X-Forwarded-For counts only from the addresses in `trusted_proxies`: read from its end, the
    first that is no trusted proxy is the client.
    """

    def __init__(self, app: ASGIApp, *, proxies: Sequence[str]) -> None:
        self._app = app
        self._proxies = _networks(proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Without a client it was asked in this process
        if scope["type"] == "http" and scope["client"] is not None:
            address = self._address(scope)
            scope.setdefault("state", {})["client_address"] = None if address is None else str(address)
        await self._app(scope, receive, send)

    def _address(self, scope: Scope) -> Address | None:
        address = _parsed(scope["client"][0])
        forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for"))
        for hop in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
            if address is None or not _within(address, self._proxies):
                break
            address = _parsed(hop)
        return address


class Clients:
    """Refuses those at other addresses than the allowed ones; inside of ClientAddress."""

    def __init__(self, app: ASGIApp, *, allowed: Sequence[str]) -> None:
        self._app = app
        self._allowed = _networks(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["client"] is not None and self._allowed:
            found = scope["state"]["client_address"]
            if found is None or not _within(ipaddress.ip_address(found), self._allowed):
                raise PermissionDenied(
                    f"this server does not answer clients at {found or 'an unknown address'} "
                    "(allowed_client_networks)"
                )
        await self._app(scope, receive, send)


class Hosts:
    """Refuses requests whose Host header names another server, as a browser's do when a page of somebody else's has
    pointed a name of its own at this one.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._names = frozenset(_names(settings))
        self._any = "*" in settings.allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["client"] is not None and not self._any:
            host = host_of(Headers(scope=scope).get("host", ""))
            if not self._answers_to(host):
                raise PermissionDenied(
                    f"this server does not answer to the name {host[:80]!r}; an administrator can add it to "
                    "allowed_hosts"
                )
        await self._app(scope, receive, send)

    def _answers_to(self, host: str) -> bool:
        if host in self._names or any(n.startswith("*.") and host.endswith(n[1:]) for n in self._names):
            return True
        return _parsed(host) is not None  # nobody can point an address elsewhere


def _names(settings: Settings) -> Iterable[str]:
    if settings.allowed_hosts:
        return settings.allowed_hosts
    public = urlsplit(settings.public_url or "").hostname or ""
    own = socket.gethostname()
    return {name.lower() for name in ("localhost", settings.host, public, own) if name}


def host_of(header: str) -> str:
    """The name in a Host header, without port and brackets."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


def _networks(entries: Sequence[str]) -> Networks:
    return tuple(ipaddress.ip_network(entry) for entry in entries)


def _within(address: Address, networks: Networks) -> bool:
    return any(address in network for network in networks)


def _parsed(text: str) -> Address | None:
    """An IPv4 client of a socket for both families is an IPv4 client."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0].strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
