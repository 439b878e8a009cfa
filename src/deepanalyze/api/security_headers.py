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
_BEHIND_TLS = {"Strict-Transport-Security": "max-age=31536000"}


class SecurityHeaders:
    """Args:
    public_url: as in the settings; where it begins with https, browsers are told to come by no other way.
    """

    def __init__(self, public_url: str | None) -> None:
        behind_tls = (public_url or "").startswith("https:")
        self._of_every_answer = {**_OF_EVERY_ANSWER, **(_BEHIND_TLS if behind_tls else {})}

    def add(self, headers: MutableHeaders, path: str) -> None:
        """What a route has set itself stays."""
        wanted = {**self._of_every_answer, **(_OF_THE_API if path.startswith("/v1/") else {})}
        for name, value in wanted.items():
            headers.setdefault(name, value)
