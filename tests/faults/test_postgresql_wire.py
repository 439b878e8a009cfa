"""PostgreSQL behind a wire that is cut, slow, silent or refuses: an error or a result, in time, and nothing left."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from deepanalyze.datasources import DeepAnalyzeError, QueryTimeout, SourceUnavailable, Timeouts
from deepanalyze.datasources.limits import Limits, PoolLimits, RetryPolicy, SourceDefaults
from tests.support.postgres_sources import defaults, postgres, run_sql
from tests.support.services import PostgresDatabase, processes_in, run_postgres
from tests.support.tcp_proxy import tcp_proxy

ROWS = "SELECT md5(generate_series(1, 200000)::text) AS h"
OURS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'deepanalyze' "
    "AND state <> 'idle'"
)


def through(database: PostgresDatabase, port: int) -> dict[str, Any]:
    return {**database.analyst_config, "host": "127.0.0.1", "port": port}


async def until_idle(database: PostgresDatabase) -> None:
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(run_sql, database.admin_dsn, OURS))[0][0]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_wire_cut_in_the_middle_of_a_file_leaves_no_file(
    postgres_database: PostgresDatabase, tmp_path: Path
) -> None:
    host, port = postgres_database.analyst_config["host"], postgres_database.analyst_config["port"]
    async with tcp_proxy(host, port) as proxy:
        async with postgres(through(postgres_database, proxy.port), pool_max_size=2) as connector:
            proxy.cut_after(1_000_000)
            proxy.cut()
            with pytest.raises(SourceUnavailable, match="pg"):
                await connector.export(tmp_path / "x.csv", query=ROWS, max_rows=200_000)
            assert list(tmp_path.iterdir()) == []
            proxy.cut_after(None)
            proxy.cut()
            exported = await connector.export(tmp_path / "x.csv", query=ROWS, max_rows=200_000)
            stats = connector.pool_stats()
        assert exported.rows == 200_000
        assert stats is not None
        assert (stats.in_use, stats.waiting) == (0, 0)
        assert stats.total <= 2
    await until_idle(postgres_database)


@pytest.mark.requirement("7.3")
async def test_what_was_cut_before_it_gave_rows_is_done_again(postgres_database: PostgresDatabase) -> None:
    host, port = postgres_database.analyst_config["host"], postgres_database.analyst_config["port"]
    async with (
        tcp_proxy(host, port) as proxy,
        postgres(through(postgres_database, proxy.port), pool_max_size=1) as connector,
    ):
        task = asyncio.create_task(connector.query("SELECT pg_sleep(0.3) IS NULL AS a"))
        async with asyncio.timeout(20):
            while not (await asyncio.to_thread(run_sql, postgres_database.admin_dsn, OURS))[0][0]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        proxy.cut()
        assert (await task)["a"].tolist() == [False]
        assert proxy.connections >= 2


@pytest.mark.requirement("6.6")
@pytest.mark.parametrize("attempts", [1, 3])
async def test_as_often_as_the_policy_says_and_no_more(
    postgres_database: PostgresDatabase, attempts: int
) -> None:
    host, port = postgres_database.analyst_config["host"], postgres_database.analyst_config["port"]
    policy = SourceDefaults(
        Limits(),
        Timeouts(),
        RetryPolicy(attempts, base_delay_s=0.001, max_delay_s=0.01),
        PoolLimits(min_size=0),
    )
    tried = 0
    async with (
        tcp_proxy(host, port) as proxy,
        postgres(through(postgres_database, proxy.port), policy, pool_max_size=1) as connector,
    ):

        async def work(lease: Any) -> None:
            nonlocal tried
            tried += 1
            proxy.cut()
            await lease.connection.execute("SELECT 1")

        with pytest.raises(SourceUnavailable):
            await connector._session.run(work)
    assert tried == attempts


@pytest.mark.requirement("6.6")
async def test_a_silent_server_is_given_up_at_the_connect_timeout(
    postgres_database: PostgresDatabase,
) -> None:
    host, port = postgres_database.analyst_config["host"], postgres_database.analyst_config["port"]
    async with tcp_proxy(host, port) as proxy:
        proxy.hold()
        with pytest.raises(SourceUnavailable, match=r"within 0.5 s \(connect_timeout_s\)|timeout"):
            async with postgres(through(postgres_database, proxy.port), connect_timeout_s=0.5):
                pass


async def test_a_wire_that_falls_silent_ends_the_query_at_its_time_limit(
    postgres_database: PostgresDatabase, tmp_path: Path
) -> None:
    """The server's own timeout cannot reach us then: we hang up by ourselves, a grace later."""
    host, port = postgres_database.analyst_config["host"], postgres_database.analyst_config["port"]
    async with (
        tcp_proxy(host, port) as proxy,
        postgres(through(postgres_database, proxy.port), query_timeout_s=0.5, pool_max_size=1) as connector,
    ):
        await connector.query("SELECT 1")
        task = asyncio.create_task(connector.export(tmp_path / "x.csv", query="SELECT pg_sleep(0.4), 1 AS a"))
        async with asyncio.timeout(20):
            while not (await asyncio.to_thread(run_sql, postgres_database.admin_dsn, OURS))[0][0]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        proxy.hold()
        with pytest.raises((QueryTimeout, SourceUnavailable)):
            await task
        proxy.release()
        assert list(tmp_path.iterdir()) == []
        assert (await connector.query("SELECT 1 AS a"))["a"].tolist() == [1]


async def test_a_slow_wire_is_no_error(postgres_database: PostgresDatabase, tmp_path: Path) -> None:
    host, port = postgres_database.analyst_config["host"], postgres_database.analyst_config["port"]
    async with tcp_proxy(host, port) as proxy:
        proxy.throttle(2_000_000)
        async with postgres(through(postgres_database, proxy.port), pool_max_size=1) as connector:
            exported = await connector.export(
                tmp_path / "x.csv", query="SELECT generate_series(1, 100000) AS n", max_rows=100_000
            )
    assert exported.rows == 100_000


async def test_a_server_that_refuses_after_a_while_is_told_at_once(
    postgres_database: PostgresDatabase,
) -> None:
    """Who waits for a connection does not wait for the pool's patience to end, when none can be made."""
    host, port = postgres_database.analyst_config["host"], postgres_database.analyst_config["port"]
    patient = defaults(timeouts=Timeouts(acquire_s=120))
    async with (
        tcp_proxy(host, port) as proxy,
        postgres(through(postgres_database, proxy.port), patient, pool_max_size=1) as connector,
    ):
        proxy.refusing = True
        proxy.cut()
        async with asyncio.timeout(60):
            with pytest.raises(SourceUnavailable):
                await connector.query("SELECT 1")


async def test_a_changed_password_is_told_as_such(postgres_database: PostgresDatabase) -> None:
    name = f"{postgres_database.name}_reader"
    run_sql(postgres_database.admin_dsn, f"CREATE ROLE {name} LOGIN PASSWORD 'first-secret'")  # type: ignore[arg-type]
    run_sql(postgres_database.admin_dsn, f'GRANT CONNECT ON DATABASE "{postgres_database.name}" TO {name}')  # type: ignore[arg-type]
    try:
        config = {**postgres_database.analyst_config, "user": name, "password": "first-secret"}
        async with postgres(config, pool_max_size=1) as connector:
            await connector.query("SELECT 1")
            run_sql(postgres_database.admin_dsn, f"ALTER ROLE {name} PASSWORD 'second-secret'")  # type: ignore[arg-type]
            run_sql(
                postgres_database.admin_dsn,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE '%_reader' "
                "AND datname = current_database()",
            )
            with pytest.raises(DeepAnalyzeError) as caught:
                await connector.query("SELECT 1")
            assert caught.value.code == "source_authentication_failed"
            assert "secret" not in str(caught.value)
    finally:
        run_sql(postgres_database.admin_dsn, f"DROP OWNED BY {name}", f"DROP ROLE {name}")  # type: ignore[arg-type]


async def test_too_many_connections_are_told_as_such(postgres_database: PostgresDatabase) -> None:
    name = postgres_database.name
    run_sql(postgres_database.admin_dsn, f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')  # type: ignore[arg-type]
    with pytest.raises(SourceUnavailable, match="takes no more connections") as caught:
        async with postgres(postgres_database.analyst_config):
            pass
    assert caught.value.retry_after_s


@pytest.mark.requirement("10.3")
async def test_sixty_queries_share_ten_connections(
    postgres_database: PostgresDatabase, tmp_path: Path
) -> None:
    patient = defaults(timeouts=Timeouts(acquire_s=60))
    async with postgres(postgres_database.analyst_config, patient, pool_max_size=10) as connector:

        async def use(number: int) -> int:
            if number % 3 == 0:
                done = await connector.export(tmp_path / f"{number}.csv", query=ROWS, max_rows=20_000)
                return done.rows
            return len(await connector.query(f"SELECT generate_series(1, {number + 1})"))

        got = await asyncio.gather(*(use(number) for number in range(60)))
        stats = connector.pool_stats()
    assert got == [20_000 if n % 3 == 0 else n + 1 for n in range(60)]
    assert stats is not None
    assert (stats.in_use, stats.waiting, stats.timed_out) == (0, 0, 0)
    assert 1 <= stats.total <= 10
    assert len(list(tmp_path.iterdir())) == 20


async def test_a_server_killed_in_the_middle_of_a_file(tmp_path: Path) -> None:
    async with run_postgres(tmp_path / "server") as server:
        config = server.analyst_config("postgres")
        config |= {"user": server.superuser, "password": server.superuser_password}
        async with postgres(config, pool_max_size=1) as connector:
            target = tmp_path / "files"
            target.mkdir()
            endless = "SELECT md5(generate_series(1, 1000000000)::text)"
            task = asyncio.create_task(connector.export(target / "x.csv", query=endless, max_rows=4_000_000))
            async with asyncio.timeout(30):
                while not any(part.stat().st_size for part in target.iterdir()):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            os.kill(
                server.process.pid, signal.SIGQUIT
            )  # its "immediate" end: every session dies without a word
            with pytest.raises(SourceUnavailable):
                await task
            assert list(target.iterdir()) == []


async def test_a_server_that_is_stopped_and_goes_on(tmp_path: Path) -> None:
    async with run_postgres(tmp_path / "server") as server:
        config = server.analyst_config("postgres")
        config |= {"user": server.superuser, "password": server.superuser_password}
        impatient = defaults(timeouts=Timeouts(connect_s=1, acquire_s=1))
        async with postgres(config, impatient, pool_max_size=2, query_timeout_s=1) as connector:
            await connector.query("SELECT 1")
            pids = processes_in(tmp_path / "server")
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            try:
                async with asyncio.timeout(60):
                    with pytest.raises(DeepAnalyzeError) as caught:
                        await connector.query("SELECT 2")
                assert caught.value.code in ("query_timeout", "source_unavailable", "busy")
            finally:
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
            assert (await connector.query("SELECT 3 AS a"))["a"].tolist() == [3]
