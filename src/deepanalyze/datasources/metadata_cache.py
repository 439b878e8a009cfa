"""What sources hold, remembered for a while, and asked for once however many want it at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from cachetools import TTLCache

from deepanalyze.errors import Cancelled

T = TypeVar("T")
Place = tuple[str, Hashable]


@dataclass(frozen=True, slots=True)
class Cached(Generic[T]):
    """The value is shared: not to be changed. `cached_at`, in Unix seconds, is when the source was asked for it."""

    value: T
    cached_at: int


class MetadataCache:
    """For one event loop. `ttl_s` 0 turns it off: nothing is kept, and only those who ask before the source is asked
    share its answer.
    """

    def __init__(
        self,
        ttl_s: float = 5 * 60,
        *,
        max_entries: int = 1_000,
        timer: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._off = ttl_s <= 0
        self._clock = clock
        self._kept: TTLCache[Place, Cached[Any]] = TTLCache(maxsize=max_entries, ttl=ttl_s, timer=timer)
        self._loads: dict[Place, _Load] = {}

    async def get(
        self, source_id: str, key: Hashable, load: Callable[[], Awaitable[T]], *, refresh: bool = False
    ) -> Cached[T]:
        """The value that is kept, or what `load` gives; who asks meanwhile shares that load.

        A load that fails is told to all who wait for it and forgotten; one that nobody waits for any more is
        cancelled. With `refresh`, nothing that was read before this call is given. Raises what `load` raises.
        """
        place = (source_id, key)
        fresh = refresh or self._off
        if not fresh and (kept := self._kept.get(place)) is not None:
            return kept
        running = self._loads.get(place)
        if running is None or (fresh and running.begun):
            running = self._start(place, load)
        return await self._waited(place, running)

    def put(self, source_id: str, key: Hashable, value: Any) -> None:
        self._kept[source_id, key] = Cached(value, int(self._clock()))

    def peek(self, source_id: str, key: Hashable) -> Cached[Any] | None:
        return self._kept.get((source_id, key))

    def invalidate(self, source_id: str | None = None) -> None:
        """Forgets all of a source, or of all. Who waits for a load still gets its value; nobody else does."""
        for places in (self._kept, self._loads):
            for place in [place for place in places if source_id in (None, place[0])]:
                places.pop(place, None)

    def _start(self, place: Place, load: Callable[[], Awaitable[Any]]) -> _Load:
        running = self._loads[place] = _Load(load, self._clock, name=f"metadata of {place[0]}")
        running.task.add_done_callback(partial(self._settle, place, running))
        return running

    def _settle(self, place: Place, running: _Load, task: asyncio.Task[Cached[Any]]) -> None:
        """Keeps the value, unless the source was invalidated or a newer load began since."""
        failed = task.cancelled() or task.exception() is not None
        if self._loads.get(place) is running:
            del self._loads[place]
            if not failed:
                self._kept[place] = task.result()

    async def _waited(self, place: Place, running: _Load) -> Cached[Any]:
        running.waiting += 1
        try:
            return await asyncio.shield(running.task)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if running.task.cancelled() and current is not None and not current.cancelling():
                raise Cancelled(f"reading what the data source {place[0]!r} holds was stopped") from None
            raise
        finally:
            running.waiting -= 1
            if not running.waiting and not running.task.done():
                if self._loads.get(place) is running:  # nobody may join it now
                    del self._loads[place]
                running.task.cancel()
                await asyncio.wait([running.task])


class _Load:
    """One call of `load`, in a task of its own. `begun`: the source may have been asked already."""

    def __init__(self, load: Callable[[], Awaitable[Any]], clock: Callable[[], float], *, name: str) -> None:
        self.begun = False
        self.waiting = 0
        self.task = asyncio.create_task(self._run(load, clock), name=name)

    async def _run(self, load: Callable[[], Awaitable[Any]], clock: Callable[[], float]) -> Cached[Any]:
        self.begun = True
        began_at = int(clock())
        return Cached(await load(), began_at)
