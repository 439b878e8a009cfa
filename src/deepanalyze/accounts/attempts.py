"""Guessing keys is slow: failed attempts are limited for each address."""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from deepanalyze.errors import RateLimited

K = TypeVar("K")
V = TypeVar("V")

log = structlog.get_logger()

WINDOW_S = 60
MAX_REMEMBERED = 10_000  # addresses, and keys; the ones seen longest ago are forgotten
_IPV6_PREFIX = 64  # what one subscriber has


@dataclass(slots=True)
class _Bucket:
    """Each failure takes a token, which comes back with time."""

    tokens: float
    at: float
    told_at: float = float("-inf")
    limited_at: float = float("-inf")


class FailedAttempts:
    """In memory, for one process. A key that was accepted lately is let through to be checked also where others are
    not, so that one client with a wrong key does not keep out all behind the same address.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._accepted: OrderedDict[bytes, None] = OrderedDict()

    def check(self, address: str, key: str) -> None:
        """Called before the key is looked at. Raises RateLimited."""
        bucket = self._buckets.get(_network(address))
        if bucket is None or self._tokens(bucket) >= 1 or _fingerprint(key) in self._accepted:
            return
        wait_s = (1 - self._tokens(bucket)) * WINDOW_S / self._capacity
        raise RateLimited(
            f"too many wrong API keys came from your address: more than {self._capacity} a minute "
            f"(auth_failures_per_minute); try again in {max(1, round(wait_s))} s",
            retry_after_s=wait_s,
        )

    def accepted(self, key: str) -> None:
        _remember(self._accepted, _fingerprint(key), None)

    def failed(self, address: str, key: str) -> None:
        self._accepted.pop(_fingerprint(key), None)
        network, now = _network(address), self._clock()
        bucket = self._buckets.get(network) or _Bucket(self._capacity, now)
        bucket.tokens, bucket.at = max(0.0, self._tokens(bucket) - 1), now
        _remember(self._buckets, network, bucket)
        self._tell(bucket, address, now)

    def _tokens(self, bucket: _Bucket) -> float:
        back = (self._clock() - bucket.at) * self._capacity / WINDOW_S
        return min(self._capacity, bucket.tokens + back)

    def _tell(self, bucket: _Bucket, address: str, now: float) -> None:
        """Once in a window each, and never the key."""
        if now - bucket.told_at >= WINDOW_S:
            bucket.told_at = now
            log.warning("authentication failed", address=address)
        if bucket.tokens < 1 and now - bucket.limited_at >= WINDOW_S:
            bucket.limited_at = now
            log.warning("authentication limited", address=address, failures_per_minute=self._capacity)


def _remember(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > MAX_REMEMBERED:
        kept.popitem(last=False)


def _fingerprint(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


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
