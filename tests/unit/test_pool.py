"""The pool of connectors that have none of their own."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from deepanalyze.datasources import (
    ConfigurationError,
    ConnectionPool,
    ConnectionPoolManager,
    DataSourceConfig,
    InvalidRequest,
    NotFound,
    PoolConfig,
    PooledConnection,
    SourceUnavailable,
    pool_connections,
)
from deepanalyze.datasources import pool as pool_module
from deepanalyze.datasources.capabilities import PoolStats
from deepanalyze.errors import Busy
from tests.support.empty_source import EmptySource


class Product(EmptySource):
    """Connects when it is let, notes what happens to it. What `hangs` names never ends by itself."""

    alive = 0
    most = 0

    def __init__(
        self,
        *,
        refuse: bool = False,
        hold: asyncio.Event | None = None,
        pause_s: float = 0,
        hangs: str = "",
    ) -> None:
        super().__init__(DataSourceConfig("product", "custom", "product"))
        self.refuse, self.hold, self.pause_s, self.hangs = refuse, hold, pause_s, hangs
        self.healthy = True
        self.connected = False
        self.tests = 0
        self.disconnects = 0

    async def connect(self) -> None:
        await asyncio.sleep(self.pause_s)
        if self.hold is not None:
            await self.hold.wait()
        if self.refuse:
            raise SourceUnavailable("source 'product': nobody answers")
        self.connected = True
        type(self).alive += 1
        type(self).most = max(type(self).most, type(self).alive)

    async def disconnect(self) -> None:
        self.disconnects += 1
        if self.hangs == "disconnect":
            await asyncio.Event().wait()
        if self.connected:
            self.connected = False
            await asyncio.sleep(self.pause_s)
            type(self).alive -= 1

    async def test_connection(self) -> bool:
        self.tests += 1
        if self.hangs == "test":
            await asyncio.Event().wait()
        await asyncio.sleep(self.pause_s)
        return self.healthy


@pytest.fixture
def product() -> type[Product]:
    class Counted(Product):
        alive = 0
        most = 0

    return Counted


def lazily(**changes: Any) -> PoolConfig:
    return PoolConfig(**{"min_size": 0, "acquire_timeout": 5, **changes})


def other_tasks() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


def check_books(pool: ConnectionPool) -> None:
    """What is lent and idle, and what is being opened or closed, is all there is, and not too much."""
    stats = pool.stats()
    opening_or_closing = stats.total - stats.in_use - stats.idle
    assert min(stats.in_use, stats.idle, opening_or_closing, stats.waiting) >= 0, stats
    assert stats.total <= stats.max_size, stats


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing here to wait for tells of it
            await asyncio.sleep(0.002)


async def ticks(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.requirement("10.3")
async def test_the_second_waits_until_the_first_gives_back(product: type[Product]) -> None:
    async with ConnectionPool(product, lazily(max_size=1)) as pool:
        first = await pool.acquire()
        second = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0)
        assert (pool.stats().in_use, pool.stats().waiting) == (1, 1)
        await pool.release(first)
        assert await second is first
        assert first.uses == 2
        await pool.release(first)
    assert product.alive == 0


async def test_giving_back_waits_for_nobody_who_connects(product: type[Product]) -> None:
    hold = asyncio.Event()
    made: list[Product] = []

    def make() -> Product:
        made.append(product(hold=hold if made else None))
        return made[-1]

    async with ConnectionPool(make, lazily(max_size=2)) as pool:
        first = await pool.acquire()
        connecting = asyncio.create_task(pool.acquire())
        third = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await pool.release(first)
        assert await third is first
        assert not connecting.done()
        hold.set()
        await pool.release(await connecting)
        await pool.release(first)


async def test_who_came_first_is_served_first(product: type[Product]) -> None:
    served: list[int] = []
    async with ConnectionPool(product, lazily(max_size=1)) as pool:

        async def use(number: int) -> None:
            async with pool.connection():
                served.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(use(number) for number in range(20)))
    assert served == list(range(20))


async def test_who_waits_too_long_is_told_the_numbers(product: type[Product]) -> None:
    async with ConnectionPool(product, lazily(max_size=1, acquire_timeout=0.05), name="crm") as pool:
        async with pool.connection():
            with pytest.raises(Busy, match=r"'crm': none of its 1 connections .* within 0.05 s.*max_size"):
                await pool.acquire()
        async with pool.connection():
            pass
        assert pool.stats() == PoolStats(0, 1, 1, 0, 1, opened=1, waited=1, timed_out=1)


async def test_a_source_that_cannot_be_reached_is_told_and_takes_no_place(product: type[Product]) -> None:
    refusing = [True, False]
    async with ConnectionPool(lambda: product(refuse=refusing.pop(0)), lazily(max_size=1)) as pool:
        with pytest.raises(SourceUnavailable, match="nobody answers"):
            await pool.acquire()
        async with pool.connection():
            assert pool.stats().failed == 1


async def test_a_source_that_does_not_answer_is_given_up(product: type[Product]) -> None:
    never = asyncio.Event()
    async with ConnectionPool(lambda: product(hold=never), lazily(max_size=1, acquire_timeout=0.05)) as pool:
        for _ in range(3):
            with pytest.raises(SourceUnavailable, match="acquire_timeout"):
                await pool.acquire()


async def test_what_has_died_is_replaced_unnoticed(product: type[Product]) -> None:
    async with ConnectionPool(product, lazily(health_check_interval=0)) as pool:
        async with pool.connection() as first:
            pass
        first.connector.healthy = False  # type: ignore[attr-defined]
        async with pool.connection() as second:
            assert second is not first
        assert not first.connector.connected  # type: ignore[attr-defined]
        assert pool.stats().total == 1


async def test_what_was_tested_just_now_is_not_tested_again(product: type[Product]) -> None:
    async with ConnectionPool(product, lazily(health_check_interval=3600)) as pool:
        for _ in range(5):
            async with pool.connection() as pooled:
                pass
        assert pooled.connector.tests == 0  # type: ignore[attr-defined]


async def test_what_failed_in_use_is_not_lent_again(product: type[Product]) -> None:
    async with ConnectionPool(product, lazily()) as pool:
        with pytest.raises(SourceUnavailable):
            async with pool.connection() as first:
                raise SourceUnavailable("gone")
        with pytest.raises(ValueError, match="mine"):
            async with pool.connection() as second:
                raise ValueError("mine")
        async with pool.connection() as third:
            assert third is second
            assert third is not first


async def test_old_and_idle_ones_are_closed_down_to_the_minimum(product: type[Product]) -> None:
    config = PoolConfig(max_size=4, min_size=1, idle_timeout=0.05, acquire_timeout=5)
    async with ConnectionPool(product, config) as pool:
        lent = [await pool.acquire() for _ in range(4)]
        for pooled in lent:
            await pool.release(pooled)
        await until(lambda: product.alive == 1)
        await until(lambda: pool.stats().total == 1)
    async with ConnectionPool(product, lazily(max_lifetime=0)) as pool:
        async with pool.connection() as first:
            pass
        async with pool.connection() as second:
            assert second is not first


async def test_the_minimum_is_opened_beforehand(product: type[Product]) -> None:
    async with ConnectionPool(product, PoolConfig(max_size=5, min_size=3)) as pool, pool.connection():
        await until(lambda: pool.stats().total == 3)
    assert product.alive == 0


async def test_only_what_was_lent_can_be_given_back(product: type[Product]) -> None:
    async with ConnectionPool(product, lazily()) as pool:
        pooled = await pool.acquire()
        await pool.release(pooled)
        for wrong in (pooled, PooledConnection(product())):
            with pytest.raises(InvalidRequest, match="not lent"):
                await pool.release(wrong)


async def test_closing_wakes_who_waits_and_ends_what_is_lent(product: type[Product]) -> None:
    pool = ConnectionPool(product, lazily(max_size=1), name="crm")
    lent = await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    await pool.close()
    with pytest.raises(SourceUnavailable, match="'crm': its pool was closed"):
        await waiting
    assert product.alive == 0
    await pool.release(lent)
    with pytest.raises(SourceUnavailable):
        await pool.acquire()
    await pool.close()
    assert [t for t in asyncio.all_tasks() if t is not asyncio.current_task()] == []


@pytest.mark.parametrize("seed", range(8))
async def test_no_place_is_lost_whatever_is_cancelled(product: type[Product], seed: int) -> None:
    chance = random.Random(seed)
    size = chance.randint(1, 5)
    config = PoolConfig(
        max_size=size,
        min_size=chance.randint(0, size),
        acquire_timeout=chance.choice([0.002, 0.02, 5]),
        health_check_interval=chance.choice([0, 3600]),
        max_lifetime=chance.choice([0.005, 3600]),
    )

    def make() -> Product:
        check_books(pool)
        return product(refuse=chance.random() < 0.1, pause_s=chance.choice([0, 0, 0.0005]))

    async def use() -> None:
        try:
            async with pool.connection() as pooled:
                check_books(pool)
                assert pooled.connector.connected  # type: ignore[attr-defined]
                pooled.connector.healthy = chance.random() > 0.1  # type: ignore[attr-defined]
                await asyncio.sleep(chance.choice([0, 0, 0.001]))
                if chance.random() < 0.1:
                    raise SourceUnavailable("gone")
        except (SourceUnavailable, Busy):
            pass

    async with ConnectionPool(make, config) as pool:
        tasks = []
        for _ in range(300):
            tasks.append(asyncio.create_task(use()))
            if chance.random() < 0.3:
                await asyncio.sleep(chance.choice([0, 0.0005]))
            if chance.random() < 0.4:
                chance.choice(tasks).cancel()
            check_books(pool)
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert result is None or isinstance(result, asyncio.CancelledError), repr(result)
        stats = pool.stats()
        assert (stats.in_use, stats.waiting) == (0, 0)
        async with asyncio.timeout(10):  # every place can still be had, all at once
            while True:
                try:
                    lent = [await pool.acquire() for _ in range(size)]
                    break
                except (SourceUnavailable, Busy):
                    for pooled in list(pool._lent):
                        await pool.release(pooled)
        assert product.most <= size
        for pooled in lent:
            await pool.release(pooled)
    assert product.alive == 0


@pytest.mark.parametrize("seed", range(4))
async def test_closing_amid_the_crowd_ends_everything(product: type[Product], seed: int) -> None:
    chance = random.Random(seed)
    size = chance.randint(1, 4)
    config = PoolConfig(max_size=size, min_size=chance.randint(0, size), health_check_interval=0)
    pool = ConnectionPool(lambda: product(pause_s=chance.choice([0, 0.001])), config)

    async def use() -> None:
        async with pool.connection() as pooled:
            await asyncio.sleep(chance.choice([0, 0.001]))
            if not pool.closed:
                pooled.connector.healthy = chance.random() > 0.3  # type: ignore[attr-defined]

    tasks = [asyncio.create_task(use()) for _ in range(60)]
    await ticks(chance.randint(0, 40))
    for task in chance.sample(tasks, 20):
        task.cancel()
    await pool.close()
    assert product.alive == 0
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert result is None or isinstance(result, (SourceUnavailable, asyncio.CancelledError)), repr(result)
    assert pool.stats().total == 0
    assert other_tasks() == []


@pytest.mark.parametrize("healthy", [True, False])
@pytest.mark.parametrize("steps", range(16))
async def test_cancelled_at_any_step_it_hands_its_place_on(
    product: type[Product], steps: int, healthy: bool
) -> None:
    """The product takes a step of the loop for each thing it does, so that every moment is met."""
    async with ConnectionPool(product, lazily(max_size=1, health_check_interval=0)) as pool:
        lent = await pool.acquire()
        unlucky = asyncio.create_task(pool.acquire())
        await ticks(1)
        next_one = asyncio.create_task(pool.acquire())
        await ticks(1)
        assert pool.stats().waiting == 2
        lent.connector.healthy = healthy  # type: ignore[attr-defined]
        await pool.release(lent)
        await ticks(steps)
        unlucky.cancel()
        got = (await asyncio.gather(unlucky, return_exceptions=True))[0]
        if isinstance(got, PooledConnection):  # it was too late to cancel
            await pool.release(got)
        pooled = await next_one
        check_books(pool)
        assert product.alive == pool.stats().total == 1
        await pool.release(pooled)


@pytest.mark.parametrize("steps", range(8))
async def test_cancelled_while_it_opens_one_it_leaves_nothing_open(
    product: type[Product], steps: int
) -> None:
    async def make() -> Product:
        await asyncio.sleep(0)
        return product()

    async with ConnectionPool(make, lazily(max_size=1)) as pool:
        unlucky = asyncio.create_task(pool.acquire())
        await ticks(steps)
        unlucky.cancel()
        got = (await asyncio.gather(unlucky, return_exceptions=True))[0]
        if isinstance(got, PooledConnection):
            await pool.release(got)
        async with pool.connection():
            assert (product.alive, pool.stats().total) == (1, 1)


async def test_the_place_of_a_dead_one_is_free_only_when_it_is_closed(product: type[Product]) -> None:
    """However short the patience of who waits for it."""
    config = lazily(max_size=1, health_check_interval=0, acquire_timeout=0.003)
    async with ConnectionPool(lambda: product(pause_s=0), config) as pool:
        async with pool.connection() as first:
            slow = first.connector
            slow.healthy, slow.pause_s = False, 0.05  # type: ignore[attr-defined]
        with pytest.raises((SourceUnavailable, Busy)):
            await pool.acquire()
        assert (product.alive, pool.stats().total) == (1, 1)
        await until(lambda: pool.stats().total == 0)
        assert product.alive == 0


@pytest.mark.parametrize("moment", ["cancelled", "too late"])
async def test_a_connection_handed_over_at_the_last_moment_is_not_lost(
    product: type[Product], moment: str
) -> None:
    async with ConnectionPool(product, lazily(max_size=1, acquire_timeout=0.2)) as pool:
        lent = await pool.acquire()
        waiting = asyncio.create_task(pool.acquire())
        await ticks(1)
        if moment == "too late":
            time.sleep(0.3)  # noqa: ASYNC251 - so that time is up in the very step that gives it back
            await ticks(1)
        await pool.release(lent)
        if moment == "cancelled":
            waiting.cancel()
        with pytest.raises((Busy, asyncio.CancelledError)):
            await waiting
        assert (pool.stats().in_use, pool.stats().idle, pool.stats().waiting) == (0, 1, 0)
        async with pool.connection() as again:
            assert again is lent


async def test_a_connection_handed_over_as_the_pool_closes_is_closed(product: type[Product]) -> None:
    pool = ConnectionPool(product, lazily(max_size=1))
    lent = await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await ticks(1)
    await pool.release(lent)
    await pool.close()
    with pytest.raises(SourceUnavailable, match="its pool was closed"):
        await waiting
    assert (product.alive, pool.stats().total, pool.stats().idle) == (0, 0, 0)


async def test_closing_ends_who_is_connecting_or_testing(product: type[Product]) -> None:
    hangs = iter(["test", ""])
    never = asyncio.Event()
    waiting = iter([None, never])
    pool = ConnectionPool(
        lambda: product(hangs=next(hangs), hold=next(waiting)), lazily(health_check_interval=0)
    )
    await pool.release(await pool.acquire())
    testing = asyncio.create_task(pool.acquire())
    connecting = asyncio.create_task(pool.acquire())
    await ticks(3)
    assert (pool.stats().in_use, pool.stats().total) == (0, 2)
    await pool.close()
    assert (product.alive, pool.stats().total) == (0, 0)
    for task in (testing, connecting):
        with pytest.raises(SourceUnavailable, match="its pool was closed"):
            await task
    assert other_tasks() == []


async def test_what_was_lent_when_the_pool_closed_is_disconnected_once(product: type[Product]) -> None:
    pool = ConnectionPool(product, lazily())
    lent = await pool.acquire()
    await pool.close()
    await pool.release(lent)
    assert lent.connector.disconnects == 1  # type: ignore[attr-defined]
    assert pool.stats().total == 0
    assert other_tasks() == []
    with pytest.raises(InvalidRequest, match="given back already"):
        await pool.release(lent)


async def test_closing_goes_on_when_it_is_cancelled(product: type[Product]) -> None:
    pool = ConnectionPool(lambda: product(pause_s=0.01), lazily())
    lent = await pool.acquire()
    closing = asyncio.create_task(pool.close())
    await ticks(2)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    await pool.close()
    assert product.alive == 0
    assert lent.connector.disconnects == 1  # type: ignore[attr-defined]


async def test_one_that_no_longer_answers_is_replaced_unnoticed(product: type[Product]) -> None:
    hangs = iter(["test", ""])
    config = lazily(max_size=1, health_check_interval=0, acquire_timeout=0.6)
    async with ConnectionPool(lambda: product(hangs=next(hangs)), config) as pool:
        async with pool.connection() as first:
            pass
        async with pool.connection() as second:
            assert second is not first
        assert pool.stats().timed_out == 0


async def test_one_that_never_closes_gives_its_place_up(
    product: type[Product], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool_connections, "_DISCONNECT_S", 0.05)
    hangs = iter(["disconnect", "disconnect"])
    with caplog.at_level(logging.WARNING):
        async with ConnectionPool(lambda: product(hangs=next(hangs)), lazily(max_size=1)) as pool:
            await pool.release(await pool.acquire(), broken=True)
            async with pool.connection():
                pass
    assert [record.message for record in caplog.records] == ["disconnecting failed"] * 2
    assert other_tasks() == []


async def test_one_whose_use_was_cut_short_is_tested_before_it_is_lent_again(product: type[Product]) -> None:
    started = asyncio.Event()

    async def use() -> None:
        async with pool.connection():
            started.set()
            await asyncio.Event().wait()

    async with ConnectionPool(product, lazily(max_size=1)) as pool:
        task = asyncio.create_task(use())
        await started.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with pool.connection() as pooled:
            assert pooled.connector.tests == 1  # type: ignore[attr-defined]
        async with pool.connection() as pooled:
            assert pooled.connector.tests == 1  # type: ignore[attr-defined]


async def test_what_a_factory_does_wrong_is_told_without_its_words(product: type[Product]) -> None:
    made: list[Any] = [ValueError("password=hunter2"), TimeoutError(), object(), product()]

    async def make() -> Any:
        if isinstance(found := made.pop(0), Exception):
            raise found
        return found

    async with ConnectionPool(make, lazily(max_size=1), name="crm") as pool:
        for kind in ("ValueError", "TimeoutError"):
            with pytest.raises(SourceUnavailable, match=rf"'crm': .* failed with {kind}$"):
                await pool.acquire()
        with pytest.raises(ConfigurationError, match="gave object, which is no DataSourceConnector"):
            await pool.acquire()
        async with pool.connection():
            assert pool.stats().failed == 3


async def test_the_minimum_is_tried_again_but_not_at_once(
    product: type[Product], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a failure of which the pool knows nothing, and with a health check before every use."""
    config = PoolConfig(min_size=2, health_check_interval=0, idle_timeout=0)
    attempts = 0

    def make() -> Product:
        nonlocal attempts
        attempts += 1
        if attempts == 2:
            raise ValueError("not now")
        return product()

    monkeypatch.setattr(pool_module, "_FIRST_RETRY_S", 3600)
    async with ConnectionPool(make, config) as pool, pool.connection():
        await until(lambda: attempts == 2)
        await asyncio.sleep(0.1)
        assert attempts == 2
    attempts = 0
    monkeypatch.setattr(pool_module, "_FIRST_RETRY_S", 0.01)
    async with ConnectionPool(make, config) as pool, pool.connection():
        await until(lambda: pool.stats().total == 2)
        assert attempts == 3


async def test_the_minimum_does_not_wait_for_ever_for_a_source_that_hangs(product: type[Product]) -> None:
    holds = iter([None, asyncio.Event(), None])
    config = PoolConfig(max_size=2, min_size=2, acquire_timeout=0.1)
    async with ConnectionPool(lambda: product(hold=next(holds)), config) as pool, pool.connection():
        await until(lambda: pool.stats().failed == 1)
        async with pool.connection():
            assert pool.stats().in_use == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_size": 0},
        {"max_size": 2.5},
        {"max_size": True},
        {"min_size": -1},
        {"min_size": 11},
        {"acquire_timeout": -1},
        {"acquire_timeout": 0},
        {"max_lifetime": math.nan},
        {"idle_timeout": "300"},
    ],
)
def test_numbers_that_make_no_pool_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        PoolConfig(**wrong)


async def test_a_closed_pool_is_made_anew_and_other_settings_are_refused(product: type[Product]) -> None:
    async with ConnectionPoolManager(lazily()) as manager:
        first = await manager.get_pool(data_source_id="crm", connector_factory=product)
        assert await manager.get_pool(data_source_id="crm", config=lazily()) is first
        with pytest.raises(InvalidRequest, match="close_pool"):
            await manager.get_pool(data_source_id="crm", config=lazily(max_size=1))
        await first.close()
        own = lazily(max_size=1)
        second = await manager.get_pool(data_source_id="crm", connector_factory=product, config=own)
        async with second.connection():
            assert manager.get_pool_stats("crm")["max_size"] == 1
    assert second.closed


async def test_the_manager_has_one_pool_for_each_source(product: type[Product]) -> None:
    async def slowly() -> Product:
        await asyncio.sleep(0)
        return product()

    class Native:
        def pool_stats(self) -> PoolStats | None:
            return PoolStats(1, 2, 3, 4, 5)

    async with ConnectionPoolManager(PoolConfig(max_size=3, min_size=0)) as manager:
        pools = await asyncio.gather(
            *(manager.get_pool(data_source_id="crm", connector_factory=slowly) for _ in range(5))
        )
        assert {id(pool) for pool in pools} == {id(await manager.get_pool(data_source_id="crm"))}
        async with pools[0].connection():
            stats = manager.get_pool_stats("crm")
        assert {k: stats[k] for k in ("in_use", "idle", "total", "waiting", "max_size")} == {
            "in_use": 1,
            "idle": 0,
            "total": 1,
            "waiting": 0,
            "max_size": 3,
        }
        manager.adopt("pg", Native())
        assert manager.get_pool_stats("pg")["waiting"] == 4
        with pytest.raises(InvalidRequest, match="connector_factory"):
            await manager.get_pool(data_source_id="other")
        with pytest.raises(NotFound):
            manager.get_pool_stats("other")
        await manager.close_pool("crm")
        with pytest.raises(SourceUnavailable):
            await pools[0].acquire()
    assert product.alive == 0
