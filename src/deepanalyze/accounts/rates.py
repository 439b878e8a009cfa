"""How often one user may ask, so that one cannot starve the others."""

from __future__ import annotations

import time
from collections.abc import Callable

from deepanalyze.accounts.buckets import Buckets
from deepanalyze.accounts.records import Principal
from deepanalyze.errors import RateLimited


class RequestRate:
    """For each analyst; administrators and 0 are without limit."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = per_minute
        self._buckets = Buckets(per_minute, clock)

    def take(self, principal: Principal) -> None:
        """Raises RateLimited."""
        if self._capacity == 0 or principal.is_admin:
            return
        if wait_s := self._buckets.wait_s(principal.user_id):
            raise RateLimited(
                f"you asked more than {self._capacity} times in a minute (requests_per_minute); try again in "
                f"{max(1, round(wait_s))} s",
                retry_after_s=wait_s,
            )
        self._buckets.take(principal.user_id)
