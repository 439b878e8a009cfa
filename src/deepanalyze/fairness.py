"""Slots that users share fairly: whoever holds the fewest is served first, so that nobody can starve the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator
from itertools import count

from deepanalyze.errors import Busy

_RETRY_AFTER_S = 5.0


class FairSlots:
    """At most `total` slots are held at a time, and at most `per_user` of them by one user: never all, where there are
    several, so that who comes next need not wait for what may take an hour.

    Who waits is served by max-min fairness: the user who holds the fewest slots goes first, among equals the one who
    was served, or came, the longest time ago; each user's own requests go in their order. For one event loop: the books
    are kept between two awaits, so that no lock is needed.

    Args:
        wait_s: how long anybody waits; None: for ever.
        busy: what who waited so long is told.
    """

    def __init__(
        self, total: int, *, per_user: int | None = None, wait_s: float | None = None, busy: str = ""
    ) -> None:
        self._total = total
        self._wait_s = wait_s
        self._busy = busy
        self._per_user = max(1, min(total - 1, per_user or total))
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._served: dict[str, int] = {}  # of users who hold or wait
        self._turns = count(1)

    @contextlib.asynccontextmanager
    async def slot(self, user: str) -> AsyncIterator[None]:
        """Waits for one and holds it. Raises Busy after `wait_s`."""
        if self.free_for(user):
            self._take(user)
        else:
            await self._wait_in_time(user)
        try:
            yield
        finally:
            self._give_back(user)

    def free_for(self, user: str) -> bool:
        """Whether this user would not wait. Who waits already has found none that could be had."""
        return self._held.total() < self._total and self._held[user] < self._per_user

    @property
    def held(self) -> int:
        return self._held.total()

    @property
    def unused(self) -> bool:
        return not self._held and not self._waiting

    async def _wait_in_time(self, user: str) -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                await self._wait(user)
        except TimeoutError:
            raise Busy(self._busy, retry_after_s=_RETRY_AFTER_S) from None

    async def _wait(self, user: str) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user, deque()).append(turn)
        # As if served just now: a stream of newcomers must not pass by those who wait.
        self._served.setdefault(user, next(self._turns))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave(user, turn)
            else:  # served in the moment in which the caller was cancelled
                self._give_back(user)
            raise

    def _take(self, user: str) -> None:
        self._held[user] += 1
        self._served[user] = next(self._turns)

    def _give_back(self, user: str) -> None:
        self._held[user] -= 1
        self._hand_on()
        self._forget_if_gone(user)

    def _hand_on(self) -> None:
        able = [user for user in self._waiting if self.free_for(user)]
        for user in sorted(able, key=lambda user: (self._held[user], self._served[user])):
            # A turn is cancelled before its caller, who takes it out of the line, comes to know.
            if turn := next((turn for turn in self._waiting[user] if not turn.done()), None):
                self._take(user)
                self._leave(user, turn)
                turn.set_result(None)
                return

    def _leave(self, user: str, turn: asyncio.Future[None]) -> None:
        line = self._waiting[user]
        line.remove(turn)
        if not line:
            del self._waiting[user]
        self._forget_if_gone(user)

    def _forget_if_gone(self, user: str) -> None:
        if self._held[user] == 0:
            del self._held[user]
            if user not in self._waiting:
                self._served.pop(user, None)
