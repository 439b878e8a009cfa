"""Guessing keys is slow: failed attempts are limited for each address."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable

import structlog

from deepanalyze.accounts.buckets import WINDOW_S, Buckets, Recent
from deepanalyze.accounts.records import key_digest
from deepanalyze.audit import note
from deepanalyze.errors import RateLimited

log = structlog.get_logger()

_IPV6_PREFIX = 64  # what one subscriber has


class FailedAttempts:
    """A key that was accepted lately is let through to be checked also where others are not, so that one client with a
    wrong key does not keep out all behind the same address.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = per_minute
        self._clock = clock
        self._buckets = Buckets(per_minute, clock)
        self._accepted: Recent[str, None] = Recent()  # by digest
        self._told_at: Recent[tuple[str, str], float] = Recent()

    def check(self, address: str, key: str) -> None:
        """Called before the key is looked at. Raises RateLimited; the audit trail is told once in a window."""
        network = _network(address)
        wait_s = self._buckets.wait_s(network)
        if not wait_s or key_digest(key) in self._accepted:
            return
        if self._is_news("refused", network):
            limit = {"auth_failures_per_minute": self._capacity}
            note("login_failure", "refused", code=RateLimited.code, details=limit)
        raise RateLimited(
            f"too many wrong API keys came from your address: more than {self._capacity} a minute "
            f"(auth_failures_per_minute); try again in {max(1, round(wait_s))} s",
            retry_after_s=wait_s,
        )

    def accepted(self, key: str) -> None:
        self._accepted[key_digest(key)] = None

    def failed(self, address: str, key: str) -> None:
        self._accepted.pop(key_digest(key), None)
        network = _network(address)
        self._buckets.take(network)
        self._tell("authentication failed", network, address=address)
        if self._buckets.wait_s(network):
            self._tell("authentication limited", network, address=address, failures_per_minute=self._capacity)

    def _tell(self, event: str, network: str, **facts: object) -> None:
        """Never the key."""
        if self._is_news(event, network):
            log.warning(event, **facts)

    def _is_news(self, event: str, network: str) -> bool:
        """Once in a window."""
        now = self._clock()
        if now - self._told_at.get((event, network), float("-inf")) < WINDOW_S:
            return False
        self._told_at[event, network] = now
        return True


def _network(address: str) -> str:
    """Whoever has one IPv6 address has the 2^64 beside it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _IPV6_PREFIX), strict=False))
