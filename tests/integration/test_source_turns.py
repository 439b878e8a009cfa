"""One user's crowd of requests to a source, and another's one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pandas as pd
import pytest

from deepanalyze.access import Question, SourceAccess
from deepanalyze.accounts import Grant, Principal, User
from deepanalyze.datasources import DataSourceRegistry, PoolStats, Table
from deepanalyze.datasources.limits import SourceDefaults, Timeouts
from deepanalyze.errors import Busy
from tests.support.toysource import PASSWORD, ToyConnector

ADMIN = Principal(User("user-0", "admin", "admin"))
ADA, BOB = (Principal(User(f"user-{name}", name, "analyst", grants=(Grant("*"),))) for name in ("ada", "bob"))


class Desk(ToyConnector):
    """Has two connections, and answers what it is asked when the test lets it."""

    asked: list[str]
    answers: dict[str, asyncio.Event]

    async def connect(self) -> None:
        await super().connect()
        self.asked, self.answers = [], {}

    def pool_stats(self) -> PoolStats:
        return PoolStats(in_use=0, idle=2, total=2, waiting=0, max_size=2)

    async def query(self, sql: str, **how: Any) -> pd.DataFrame:
        return pd.DataFrame((await self.rows(sql, **how)).rows)

    async def rows(self, sql: str, **how: Any) -> Table:
        self.asked.append(sql)
        await self.answers.setdefault(sql, asyncio.Event()).wait()
        return Table((), (), truncated=False)


@pytest.fixture
async def registry() -> AsyncIterator[DataSourceRegistry]:
    async with DataSourceRegistry(defaults=SourceDefaults(timeouts=Timeouts(acquire_s=0.2))) as registry:
        registry.register_connector_class("toy", Desk)
        yield registry


@pytest.fixture
async def access(registry: DataSourceRegistry) -> SourceAccess:
    access = SourceAccess(registry)
    await access.create(ADMIN, type="toy", name="box", config={"toys": [], "password": PASSWORD})
    return access


async def _connector(access: SourceAccess, registry: DataSourceRegistry) -> Desk:
    connector = await registry.get_connector(access.get(ADMIN, "box").id)
    assert isinstance(connector, Desk)
    return connector


async def test_a_crowd_leaves_a_connection_for_the_others(
    access: SourceAccess, registry: DataSourceRegistry
) -> None:
    desk = await _connector(access, registry)
    crowd = [asyncio.create_task(access.query(ADA, "box", Question(f"ada {n}"))) for n in range(5)]
    bob = asyncio.create_task(access.query(BOB, "box", Question("bob")))
    async with asyncio.timeout(30):
        with pytest.raises(Busy, match=r"connections to source 'box' .* were busy for 0.2 s"):
            await crowd[-1]
    assert desk.asked == ["ada 0", "bob"]
    desk.answers["bob"].set()
    assert (await bob).rows == ()
    desk.answers["ada 0"].set()
    assert (await crowd[0]).rows == ()
    outcomes = await asyncio.gather(*crowd[1:], return_exceptions=True)
    assert all(isinstance(outcome, Busy) for outcome in outcomes), outcomes
    last = asyncio.create_task(access.query(ADA, "box", Question("ada again")))
    desk.answers["ada again"] = asyncio.Event()
    desk.answers["ada again"].set()
    assert (await last).rows == ()
