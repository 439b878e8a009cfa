"""How often one user may ask, so that one cannot starve the others."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from deepanalyze.accounts.records import Principal
from deepanalyze.errors import RateLimited

WINDOW_S = 60
MAX_REMEMBERED = 10_000  # users; the ones who asked longest ago are forgotten, and start afresh


class RequestRate:
    """A bucket of tokens for each analyst, in memory; administrators and 0 are without limit."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, principal: Principal) -> None:
        """Raises RateLimited."""
        if self._capacity == 0 or principal.is_admin:
            return
        now = self._clock()
        left, at = self._buckets.get(principal.user_id, (float(self._capacity), now))
        left = min(self._capacity, left + (now - at) * self._capacity / WINDOW_S)
        if left < 1:
            wait_s = (1 - left) * WINDOW_S / self._capacity
            raise RateLimited(
                f"you asked more than {self._capacity} times in a minute (requests_per_minute); try again in "
                f"{max(1, round(wait_s))} s",
                retry_after_s=wait_s,
            )
        self._buckets[principal.user_id] = (left - 1, now)
        self._buckets.move_to_end(principal.user_id)
        if len(self._buckets) > MAX_REMEMBERED:
            self._buckets.popitem(last=False)
