"""Headers that keep browsers from doing with an answer what it is not meant for."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders

_OF_EVERY_ANSWER = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_OF_THE_API = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def add_security_headers(headers: MutableHeaders, path: str) -> None:
    """What a route has set itself stays."""
    wanted = {**_OF_EVERY_ANSWER, **(_OF_THE_API if path.startswith("/v1/") else {})}
    for name, value in wanted.items():
        headers.setdefault(name, value)
