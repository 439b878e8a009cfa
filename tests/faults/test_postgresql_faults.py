"""PostgreSQL that is slow, busy, cut off or left in the middle of a query."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deepanalyze.datasources import (
    PostgreSQLConnector,
    QueryTimeout,
    SourceUnavailable,
    Timeouts,
)
from deepanalyze.errors import Busy, Cancelled
from tests.support.postgres_sources import defaults, postgres, run_sql
from tests.support.services import PostgresDatabase

ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000) /* endless */"
STREAMING = "SELECT md5(generate_series(1, 1000000000)::text) /* endless */"  # gives rows at once


def endless_pids(dsn: str) -> list[int]:
    """Backends that work on a query of ours at this moment."""
    rows = run_sql(
        dsn,
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' "
        "AND query LIKE '%/* endless */%' AND pid <> pg_backend_pid()",
    )
    return [pid for (pid,) in rows]


async def until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - only the server knows, and has to be asked
            await asyncio.sleep(0.02)


def ways_to_run(tmp_path: Path) -> dict[str, Callable[[PostgreSQLConnector], Awaitable[Any]]]:
    return {
        "query": lambda connector: connector.query(ENDLESS),
        "export": lambda connector: connector.export(tmp_path / "a.csv", query=ENDLESS),
        "stream": lambda connector: connector.export(tmp_path / "b.csv", query=STREAMING, max_rows=4_000_000),
    }


@pytest.mark.requirement("2.6")
@pytest.mark.parametrize("way", ["query", "export", "stream"])
async def test_a_query_over_its_time_ends_on_the_server_too(
    postgres_database: PostgresDatabase, tmp_path: Path, way: str
) -> None:
    async with postgres(postgres_database.analyst_config, query_timeout_s=0.3) as connector:
        with pytest.raises(QueryTimeout, match=r"after 0.3 s \(query_timeout_s\)"):
            await ways_to_run(tmp_path)[way](connector)
        await until(lambda: not endless_pids(postgres_database.admin_dsn))
        assert (await connector.query("SELECT 1 AS a"))["a"][0] == 1
    assert list(tmp_path.iterdir()) == []


async def test_no_source_may_wait_longer_than_the_ceiling(postgres_database: PostgresDatabase) -> None:
    low = defaults(timeouts=Timeouts(query_ceiling_s=0.2))
    async with postgres(postgres_database.analyst_config, low, query_timeout_s=600) as connector:
        with pytest.raises(QueryTimeout, match=r"0\.2 s"):
            await connector.query("SELECT pg_sleep(60)")


@pytest.mark.parametrize("way", ["query", "export", "stream"])
async def test_cancelling_ends_the_query_on_the_server(
    postgres_database: PostgresDatabase, tmp_path: Path, way: str
) -> None:
    dsn = postgres_database.admin_dsn
    async with postgres(postgres_database.analyst_config, pool_max_size=1) as connector:
        task = asyncio.ensure_future(ways_to_run(tmp_path)[way](connector))
        await until(lambda: bool(endless_pids(dsn)))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not endless_pids(dsn))
        assert (await connector.query("SELECT 1 AS a"))["a"][0] == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["query", "stream"])
async def test_cancelling_again_does_not_give_a_connection_back_that_is_in_use(
    postgres_database: PostgresDatabase, tmp_path: Path, way: str
) -> None:
    dsn = postgres_database.admin_dsn
    async with postgres(postgres_database.analyst_config, pool_max_size=1) as connector:
        task = asyncio.ensure_future(ways_to_run(tmp_path)[way](connector))
        await until(lambda: bool(endless_pids(dsn)))
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(tmp_path.iterdir()) == []  # the thread that used it has ended
        await until(lambda: not endless_pids(dsn))
        assert (await connector.query("SELECT 1 AS a"))["a"][0] == 1


async def test_cancelling_before_the_query_begins_returns_the_connection(
    postgres_database: PostgresDatabase,
) -> None:
    async with postgres(postgres_database.analyst_config, pool_max_size=1) as connector:
        for turns in range(12):
            task = asyncio.ensure_future(connector.query("SELECT 1 AS a"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert (await connector.query("SELECT 1 AS a"))["a"][0] == 1


def kill(dsn: str, pids: list[int]) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for pid in pids:
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])


@pytest.mark.parametrize("way", ["query", "export", "stream"])
async def test_backends_that_are_killed_again_and_again_cost_one_query(
    postgres_database: PostgresDatabase, tmp_path: Path, way: str
) -> None:
    """What has given rows is not done again; what has not is, as often as the policy says."""
    dsn = postgres_database.admin_dsn
    attempts = 1 if way == "stream" else 2
    async with postgres(postgres_database.analyst_config) as connector:
        task = asyncio.ensure_future(ways_to_run(tmp_path)[way](connector))
        killed: set[int] = set()
        if way == "stream":
            await until(lambda: any(part.stat().st_size for part in tmp_path.iterdir()))

        def kill_whatever_runs() -> bool:
            pids = endless_pids(dsn)
            killed.update(pids)
            kill(dsn, pids)
            return task.done()

        await until(kill_whatever_runs)
        with pytest.raises(SourceUnavailable, match="ended the connection"):
            await task
        assert len(killed) == attempts
        assert (await connector.query("SELECT 1 AS a"))["a"][0] == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.requirement("7.3")
@pytest.mark.parametrize("way", ["query", "export"])
async def test_a_query_whose_backend_is_killed_is_done_again(
    postgres_database: PostgresDatabase, tmp_path: Path, way: str
) -> None:
    dsn = postgres_database.admin_dsn
    sql = "SELECT pg_sleep(0.4) IS NULL AS slept, pg_backend_pid() AS pid /* endless */"
    async with postgres(postgres_database.analyst_config) as connector:
        running = connector.query(sql) if way == "query" else connector.export(tmp_path / "a.csv", query=sql)
        task = asyncio.ensure_future(running)
        await until(lambda: bool(endless_pids(dsn)))
        (killed,) = endless_pids(dsn)
        kill(dsn, [killed])
        done = await task
    if way == "query":
        assert int(done["pid"][0]) != killed
    else:
        assert (tmp_path / "a.csv").read_text().splitlines()[1] != f"false,{killed}"


async def test_idle_connections_that_were_killed_are_not_lent(postgres_database: PostgresDatabase) -> None:
    dsn = postgres_database.admin_dsn
    async with postgres(postgres_database.analyst_config) as connector:
        await asyncio.gather(*(connector.query("SELECT 1") for _ in range(5)))
        run_sql(
            dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'deepanalyze'",
        )
        frames = await asyncio.gather(*(connector.query("SELECT 1 AS a") for _ in range(5)))
    assert [frame["a"][0] for frame in frames] == [1] * 5


async def test_who_finds_no_free_connection_is_told(postgres_database: PostgresDatabase) -> None:
    impatient = defaults(timeouts=Timeouts(acquire_s=0.2))
    async with postgres(postgres_database.analyst_config, impatient, pool_max_size=1) as connector:
        task = asyncio.ensure_future(connector.query(ENDLESS))
        await until(lambda: bool(endless_pids(postgres_database.admin_dsn)))
        with pytest.raises(Busy, match=r"none of its 1 connections came free within 0.2 s") as caught:
            await connector.query("SELECT 1")
        assert caught.value.retry_after_s
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_session_that_comes_back_changed_is_thrown_away(postgres_database: PostgresDatabase) -> None:
    async with postgres(postgres_database.analyst_config, pool_max_size=1, pool_min_size=1) as connector:
        async with connector._reading() as connection:
            await connection.execute("COMMIT; SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
            poisoned = connection.info.backend_pid
        frame = await connector.query(
            "SELECT pg_backend_pid() AS pid, current_setting('default_transaction_read_only') AS r"
        )
    assert frame["pid"][0] != poisoned
    assert frame["r"][0] == "on"


async def test_disconnecting_ends_what_runs(postgres_database: PostgresDatabase) -> None:
    dsn = postgres_database.admin_dsn
    async with postgres(postgres_database.analyst_config) as connector:
        task = asyncio.ensure_future(connector.query(ENDLESS))
        await until(lambda: bool(endless_pids(dsn)))
        await connector.disconnect()
        results = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(results[0], BaseException)
    await until(lambda: not endless_pids(dsn))


async def test_a_query_that_an_administrator_cancels_is_told_apart(
    postgres_database: PostgresDatabase,
) -> None:
    dsn = postgres_database.admin_dsn
    async with postgres(postgres_database.analyst_config) as connector:
        task = asyncio.ensure_future(connector.query(ENDLESS))
        await until(lambda: bool(endless_pids(dsn)))
        for pid in endless_pids(dsn):
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("SELECT pg_cancel_backend(%s)", [pid])
        with pytest.raises(Cancelled, match="on the server"):
            await task
        assert (await connector.query("SELECT 1 AS a"))["a"][0] == 1
