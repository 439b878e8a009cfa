"""The pool of connectors that have none of their own."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from deepanalyze.datasources import (
    ConfigurationError,
    ConnectionPool,
    ConnectionPoolManager,
    DataItem,
    DataSourceConfig,
    DataSourceConnector,
    InvalidRequest,
    NotFound,
    PoolConfig,
    PooledConnection,
    SourceUnavailable,
)
from deepanalyze.datasources.capabilities import PoolStats
from deepanalyze.errors import Busy


class Product(DataSourceConnector):
    """Connects when it is let, notes what happens to it."""

    alive = 0
    most = 0

    def __init__(
        self, *, refuse: bool = False, hold: asyncio.Event | None = None, pause_s: float = 0
    ) -> None:
        super().__init__(DataSourceConfig("product", "custom", "product"))
        self.refuse, self.hold, self.pause_s = refuse, hold, pause_s
        self.healthy = True
        self.connected = False
        self.tests = 0

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
        if self.connected:
            self.connected = False
            await asyncio.sleep(self.pause_s)
            type(self).alive -= 1

    async def test_connection(self) -> bool:
        self.tests += 1
        await asyncio.sleep(self.pause_s)
        return self.healthy

    async def list_items(self, path: str | None = None) -> list[DataItem]:
        return []

    async def fetch_data(self, identifier: str, workspace: str | Path) -> str:
        return ""

    async def get_metadata(self, identifier: str) -> dict[str, Any]:
        return {}


@pytest.fixture
def product() -> type[Product]:
    class Counted(Product):
        alive = 0
        most = 0

    return Counted


def lazily(**changes: Any) -> PoolConfig:
    return PoolConfig(**{"min_size": 0, "acquire_timeout": 5, **changes})


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
        async with asyncio.timeout(10):
            while product.alive != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert pool.stats().total == 1
    async with ConnectionPool(product, lazily(max_lifetime=0)) as pool:
        async with pool.connection() as first:
            pass
        async with pool.connection() as second:
            assert second is not first


async def test_the_minimum_is_opened_beforehand(product: type[Product]) -> None:
    async with ConnectionPool(product, PoolConfig(max_size=5, min_size=3)) as pool, pool.connection():
        async with asyncio.timeout(10):
            while pool.stats().total < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
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
        return product(refuse=chance.random() < 0.1, pause_s=chance.choice([0, 0, 0.0005]))

    async def use() -> None:
        try:
            async with pool.connection() as pooled:
                assert pool.stats().total <= size
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


@pytest.mark.parametrize(
    "wrong", [{"max_size": 0}, {"min_size": -1}, {"min_size": 11}, {"acquire_timeout": -1}]
)
def test_numbers_that_make_no_pool_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        PoolConfig(**wrong)


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
