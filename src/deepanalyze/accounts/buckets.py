"""So many a minute for each of many, in memory, for one process: token buckets."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

WINDOW_S = 60
MAX_REMEMBERED = 10_000


class Recent(OrderedDict[K, V]):
    """What was set lately: of more than `MAX_REMEMBERED` the one set longest ago is forgotten."""

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > MAX_REMEMBERED:
            self.popitem(last=False)


class Buckets:
    """`per_minute` tokens for each name, which come back with time. One that is forgotten starts afresh."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._capacity = per_minute
        self._clock = clock
        self._left: Recent[str, tuple[float, float]] = Recent()  # and when that was

    def __len__(self) -> int:
        return len(self._left)

    def wait_s(self, name: str) -> float:
        """Until there is a token; 0 when there is one."""
        return max(0.0, 1 - self._tokens(name)) * WINDOW_S / self._capacity

    def take(self, name: str) -> None:
        """Takes a token, or what is there of one."""
        self._left[name] = (max(0.0, self._tokens(name) - 1), self._clock())

    def _tokens(self, name: str) -> float:
        now = self._clock()
        left, at = self._left.get(name, (self._capacity, now))
        return min(self._capacity, left + (now - at) * self._capacity / WINDOW_S)
