"""The metadata cache: what is kept and for how long, and who shares one load."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

import pytest

from deepanalyze.datasources import (
    DataSourceConfig,
    DataSourceRegistry,
    SourceUnavailable,
)
from deepanalyze.datasources.metadata_cache import Cached, MetadataCache
from deepanalyze.errors import Cancelled
from tests.support.empty_source import EmptySource


class Source:
    """Counts how often it is asked; answers when its gate is open, and with the number of the question."""

    def __init__(self) -> None:
        self.asked = 0
        self.ended = 0
        self.error: Exception | None = None
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self) -> int:
        self.asked += 1
        number = self.asked
        self.begun.set()
        try:
            await self.gate.wait()
        finally:
            self.ended += 1
        if self.error is not None:
            raise self.error
        return number

    def close(self) -> None:
        self.gate.clear()
        self.begun.clear()


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def source() -> Source:
    return Source()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> MetadataCache:
    return MetadataCache(60, timer=clock, clock=clock)


async def waiting(
    cache: MetadataCache, source: Source, *, refresh: bool = False
) -> asyncio.Task[Cached[int]]:
    """A caller whose load has reached the source, or who has joined one that has."""
    task = asyncio.create_task(cache.get("db", "schema", source.load, refresh=refresh))
    await asyncio.sleep(0)
    await source.begun.wait()
    return task


@pytest.mark.requirement("8.5")
async def test_a_value_is_kept_for_its_time(cache: MetadataCache, source: Source, clock: Clock) -> None:
    first = await cache.get("db", "schema", source.load)
    clock.now += 59
    assert await cache.get("db", "schema", source.load) is first
    assert first == Cached(1, 1_000)
    clock.now += 1
    assert await cache.get("db", "schema", source.load) == Cached(2, 1_060)


async def test_keys_and_sources_are_apart(cache: MetadataCache, source: Source) -> None:
    for number, (source_id, key) in enumerate((("a", "x"), ("a", ("x", 1)), ("b", "x")), start=1):
        assert (await cache.get(source_id, key, source.load)).value == number
    cache.invalidate("a")
    assert (cache.peek("a", "x"), cache.peek("a", ("x", 1))) == (None, None)
    assert cache.peek("b", "x") is not None
    cache.invalidate()
    assert cache.peek("b", "x") is None


async def test_refreshing_replaces_what_is_kept(cache: MetadataCache, source: Source) -> None:
    await cache.get("db", "schema", source.load)
    assert (await cache.get("db", "schema", source.load, refresh=True)).value == 2
    assert (await cache.get("db", "schema", source.load)).value == 2


async def test_the_oldest_go_when_there_are_too_many(source: Source, clock: Clock) -> None:
    cache = MetadataCache(60, max_entries=2, timer=clock, clock=clock)
    for key in "abc":
        await cache.get("db", key, source.load)
    assert [cache.peek("db", key) is not None for key in "abc"] == [False, True, True]


async def test_without_a_ttl_nothing_is_kept(source: Source) -> None:
    cache = MetadataCache(0)
    assert (await cache.get("db", "schema", source.load)).value == 1
    assert (await cache.get("db", "schema", source.load)).value == 2
    cache.put("db", "schema", 5)
    assert cache.peek("db", "schema") is None
    source.close()
    first, second = await waiting(cache, source), await waiting(cache, source)
    source.gate.set()
    assert {(await first).value, (await second).value} == {3, 4}  # the second might have missed a change


async def test_callers_of_one_value_share_one_load(cache: MetadataCache, source: Source) -> None:
    values = await asyncio.gather(*(cache.get("db", "schema", source.load) for _ in range(50)))
    assert source.asked == 1
    assert all(value is values[0] for value in values)
    again = (cache.get("db", "schema", source.load, refresh=True) for _ in range(50))
    assert {cached.value for cached in await asyncio.gather(*again)} == {2}


async def test_a_refresh_does_not_settle_for_a_load_that_began_before(
    cache: MetadataCache, source: Source
) -> None:
    source.close()
    early = await waiting(cache, source)
    late = await waiting(cache, source, refresh=True)
    joined = await waiting(cache, source)
    source.gate.set()
    assert [(await task).value for task in (early, late, joined)] == [1, 2, 2]
    assert (await cache.get("db", "schema", source.load)).value == 2


async def test_a_failure_is_told_to_all_and_forgotten(cache: MetadataCache, source: Source) -> None:
    source.close()
    source.error = SourceUnavailable("the lights are out")
    waiters = [await waiting(cache, source) for _ in range(3)]
    source.gate.set()
    told = await asyncio.gather(*waiters, return_exceptions=True)
    assert told == [source.error] * 3
    assert source.asked == 1
    source.error = None
    assert (await cache.get("db", "schema", source.load)).value == 2


async def test_who_leaves_takes_nobody_along(cache: MetadataCache, source: Source) -> None:
    source.close()
    first, second = await waiting(cache, source), await waiting(cache, source)
    first.cancel()
    await asyncio.wait([first])
    assert source.ended == 0
    source.gate.set()
    assert (await second).value == 1
    assert first.cancelled()


async def test_the_last_who_leaves_ends_the_load(cache: MetadataCache, source: Source) -> None:
    source.close()
    waiters = [await waiting(cache, source) for _ in range(2)]
    for waiter in waiters:
        waiter.cancel()
    await asyncio.wait(waiters)
    assert (source.asked, source.ended) == (1, 1)
    source.gate.set()
    assert (await cache.get("db", "schema", source.load)).value == 2


async def test_nobody_joins_a_load_that_is_being_ended(cache: MetadataCache, source: Source) -> None:
    ending = asyncio.Event()

    async def slow_to_end() -> int:
        source.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await ending.wait()
        return 0

    leaving = asyncio.create_task(cache.get("db", "schema", slow_to_end))
    await source.begun.wait()
    leaving.cancel()
    await asyncio.sleep(0)
    assert (await cache.get("db", "schema", source.load)).value == 1
    ending.set()
    await asyncio.wait([leaving])
    assert (await cache.get("db", "schema", source.load)).value == 1  # which has been kept


@pytest.mark.parametrize("invalidate", [lambda c: c.invalidate("db"), lambda c: c.invalidate()])
async def test_what_was_read_before_an_invalidation_is_not_kept(
    cache: MetadataCache, source: Source, invalidate: Callable[[MetadataCache], None]
) -> None:
    source.close()
    early = await waiting(cache, source)
    invalidate(cache)
    late = await waiting(cache, source)
    source.gate.set()
    assert ((await early).value, (await late).value) == (1, 2)
    assert (await cache.get("db", "schema", source.load)).value == 2


async def test_an_invalidated_load_ends_with_its_last_waiter(cache: MetadataCache, source: Source) -> None:
    source.close()
    early = await waiting(cache, source)
    cache.invalidate("db")
    late = await waiting(cache, source)
    early.cancel()
    await asyncio.wait([early])
    assert (source.asked, source.ended) == (2, 1)
    source.gate.set()
    assert (await late).value == 2


async def test_a_load_that_is_stopped_from_elsewhere_cancels_no_caller(cache: MetadataCache) -> None:
    async def stopped() -> int:
        raise asyncio.CancelledError

    calls: list[Awaitable[Cached[int]]] = [cache.get("db", "schema", stopped) for _ in range(2)]
    for told in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(told, Cancelled)


class Shelf(EmptySource):
    """Somebody reads from it while it is being closed."""

    closing: ClassVar[Callable[[], Awaitable[object]] | None] = None

    async def disconnect(self) -> None:
        if self.closing is not None:
            await self.closing()


async def test_a_source_that_is_unregistered_leaves_nothing(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with DataSourceRegistry() as registry:
        registry.register_connector_class("shelf", Shelf)
        await registry.register_data_source(DataSourceConfig("shelf", "shelf", "shelf"))
        await registry.get_connector("shelf")
        await registry.metadata.get("shelf", "schema", source.load)
        monkeypatch.setattr(Shelf, "closing", lambda _: registry.metadata.get("shelf", "schema", source.load))
        await registry.unregister_data_source("shelf")
        monkeypatch.undo()
        assert source.asked == 2  # what was kept went first
        assert registry.metadata.peek("shelf", "schema") is None
