"""Behind PgBouncer in transaction mode, which lends each transaction whatever session is free."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from anyio.from_thread import BlockingPortal

from deepanalyze.datasources import (
    DeepAnalyzeError,
    QueryFailed,
    QueryTimeout,
    ReadOnlyViolation,
    SourceAuthenticationFailed,
    SourceUnavailable,
)
from tests.faults.test_postgresql_faults import endless_pids, kill, until, ways_to_run
from tests.integration.test_postgresql_guard import what_gets_through, what_is_refused
from tests.support.debian import Programs, Unavailable, find_programs
from tests.support.debian_servers import run_pgbouncer
from tests.support.postgres_schemas import FLIGHTS
from tests.support.postgres_sources import postgres, run_sql, superuser_config
from tests.support.services import PostgresDatabase
from tests.support.sql_attacks import ATTACKS
from tests.support.sql_reads import READS, SETTING
from tests.support.witness import witness

pytestmark = pytest.mark.long

SESSIONS = 2
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
# Views may call what the guard would refuse in a query.
SLY = (
    "CREATE VIEW locking AS SELECT pg_advisory_lock(7) IS NULL AS a",
    "CREATE VIEW endless AS SELECT pg_advisory_lock(8) IS NULL AS a, count(*) FROM generate_series(1, 1000000000)",
    "CREATE VIEW broken AS SELECT pg_advisory_lock(9) IS NULL AS a, 1 / (random() * 0)::int AS b",
    "CREATE VIEW setting AS SELECT set_config('work_mem', '64kB', false) AS a, "
    "set_config('search_path', 'x', false) AS b",
)


@pytest.fixture(scope="module")
def programs() -> Programs:
    try:
        found = find_programs()
    except Unavailable as reason:
        pytest.skip(str(reason))
    if found.pgbouncer is None:
        pytest.skip("there is no PgBouncer")
    return found


@pytest.fixture
def pooled(
    services_loop: BlockingPortal, postgres_database: PostgresDatabase, programs: Programs, tmp_path: Path
) -> Iterator[PostgresDatabase]:
    """`postgres_database` through a PgBouncer that has two sessions for each role."""
    running = run_pgbouncer(tmp_path / "pgbouncer", programs, postgres_database, pool_size=SESSIONS)
    with services_loop.wrap_async_context_manager(running) as database:
        yield database


@pytest.fixture
def files(tmp_path: Path) -> Path:
    path = tmp_path / "files"
    path.mkdir()
    return path


def as_others_find_them(dsn: str) -> set[tuple[str, ...]]:
    """What each of the pooler's sessions is for a client that sets nothing."""
    told = set()
    with ExitStack() as transactions:
        connections = [transactions.enter_context(psycopg.connect(dsn)) for _ in range(SESSIONS)]
        pids = {c.execute("SELECT pg_backend_pid()").fetchone() for c in connections}
        for connection in connections:
            row: Sequence[Any] = (
                connection.execute(
                    "SELECT array_agg(name || '=' || setting ORDER BY name), current_user, "
                    "(SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_cursors) "
                    "FROM pg_settings WHERE name <> 'application_name'"
                ).fetchone()
                or ()
            )
            told.add(tuple(map(str, row)))
    assert len(pids) == SESSIONS
    return told


async def test_a_pooler_is_noticed(postgres_database: PostgresDatabase, pooled: PostgresDatabase) -> None:
    for database, expected in ((postgres_database, False), (pooled, True)):
        async with postgres(database.analyst_config) as connector:
            assert (await connector.server_info())["pooler"] is expected


@pytest.mark.requirement("2.4")
async def test_everything_that_reads_works(pooled: PostgresDatabase, files: Path) -> None:
    run_sql(pooled.admin_dsn, *FLIGHTS)
    sql = "SELECT n, 'x' || n AS t FROM generate_series(1, 30000) n WHERE n > $1 ORDER BY n"
    async with postgres(pooled.analyst_config) as connector:
        frame = await connector.query(sql, params=[29_990])
        table = await connector.rows(sql, params=[29_998])
        for name in ("a.csv", "a.parquet"):
            exported = await connector.export(
                files / name,
                query=sql,
                params=[0],
                format="csv" if name.endswith("csv") else "parquet",
                max_rows=20_000,
            )
            assert (exported.rows, exported.truncated) == (20_000, True)
        whole = await connector.export(files / "planes.csv", table="planes")
        names = [item.name for item in await connector.list_items("public")]
        flights = await connector.get_metadata("flights")
        planes = await connector.preview("planes", limit=2)
        counted = await connector.statistics("planes")
    assert frame["n"].tolist() == list(range(29_991, 30_001))
    assert table.rows == [[29_999, "x29999"], [30_000, "x30000"]]
    assert (files / "a.csv").read_text().splitlines()[-1] == "20000,x20000"
    assert pq.read_table(files / "a.parquet").column("n").to_pylist() == list(range(1, 20_001))
    assert whole.rows == counted.row_count == 500
    assert names == ["flights", "late", "planes", "worst"]
    assert flights["primary_key"] == ["id"]
    assert planes.rows == [["N1", 1], ["N2", 2]]


@pytest.mark.requirement("10.3")
async def test_many_queries_share_the_pooler_s_few_sessions(pooled: PostgresDatabase) -> None:
    sql = "SELECT pg_backend_pid() AS pid, sum(n) AS total FROM generate_series(1, 50000) n"
    async with postgres(pooled.analyst_config, pool_max_size=20) as connector:
        frames = await asyncio.gather(*(connector.query(sql) for _ in range(20)))
    assert {int(frame["total"][0]) for frame in frames} == {1250025000}
    assert len({int(frame["pid"][0]) for frame in frames}) == SESSIONS


@pytest.mark.requirement("2.8")
async def test_no_attack_gets_through_a_pooler(
    postgres_database: PostgresDatabase, pooled: PostgresDatabase
) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING)
    clean = as_others_find_them(pooled.admin_dsn)
    with witness(postgres_database.admin_dsn):
        async with postgres(superuser_config(pooled)) as connector:
            assert await what_gets_through(connector, ATTACKS) == []
            assert await what_is_refused(connector, READS) == []
    assert as_others_find_them(pooled.admin_dsn) == clean


async def test_nothing_of_ours_is_left_in_the_sessions_that_others_get(
    postgres_database: PostgresDatabase, pooled: PostgresDatabase, files: Path
) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING, *SLY)
    clean = as_others_find_them(pooled.admin_dsn)
    async with postgres(
        superuser_config(pooled), search_path=["public"], query_timeout_s=0.5, pool_min_size=SESSIONS
    ) as connector:
        for _ in range(2 * SESSIONS):
            await asyncio.gather(
                connector.query("SELECT * FROM locking"),
                connector.query("SELECT * FROM setting"),
                connector.preview("public.locking"),
            )
        await connector.export(files / "a.csv", query="SELECT * FROM locking, setting")
        await connector.statistics("public.locking")
        await connector.certify()
        working = asyncio.ensure_future(connector.query("SELECT * FROM endless /* endless */", timeout_s=60))
        await until(lambda: bool(endless_pids(postgres_database.admin_dsn)))
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await until(lambda: not endless_pids(postgres_database.admin_dsn))
        for sql, error in (
            ("SELECT * FROM endless", QueryTimeout),
            ("SELECT * FROM broken", QueryFailed),
            ("SELECT set_config('work_mem', '64kB', false)", ReadOnlyViolation),
        ):
            with pytest.raises(error):
                await connector.query(sql)
        assert run_sql(postgres_database.admin_dsn, LOCKS) == [(0,)]
        assert as_others_find_them(pooled.admin_dsn) == clean
    assert as_others_find_them(pooled.admin_dsn) == clean


@pytest.mark.parametrize("way", ["query", "export", "stream"])
async def test_a_query_over_its_time_ends_on_the_server(
    postgres_database: PostgresDatabase, pooled: PostgresDatabase, files: Path, way: str
) -> None:
    async with postgres(pooled.analyst_config, query_timeout_s=0.3) as connector:
        with pytest.raises(QueryTimeout, match=r"after 0.3 s \(query_timeout_s\)"):
            await ways_to_run(files)[way](connector)
        await until(lambda: not endless_pids(postgres_database.admin_dsn))
        assert (await connector.query("SELECT 1 AS a"))["a"][0] == 1
    assert list(files.iterdir()) == []


@pytest.mark.parametrize("way", ["query", "export", "stream"])
async def test_cancelling_ends_the_query_on_the_server(
    postgres_database: PostgresDatabase, pooled: PostgresDatabase, files: Path, way: str
) -> None:
    dsn = postgres_database.admin_dsn
    async with postgres(pooled.analyst_config, pool_max_size=1) as connector:
        task = asyncio.ensure_future(ways_to_run(files)[way](connector))
        await until(lambda: bool(endless_pids(dsn)))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not endless_pids(dsn))
        assert (await connector.query("SELECT 1 AS a"))["a"][0] == 1
    assert list(files.iterdir()) == []


@pytest.mark.requirement("7.3")
@pytest.mark.parametrize("way", ["query", "export"])
async def test_a_query_whose_backend_is_killed_is_done_again(
    postgres_database: PostgresDatabase, pooled: PostgresDatabase, files: Path, way: str
) -> None:
    dsn = postgres_database.admin_dsn
    sql = "SELECT pg_sleep(0.4) IS NULL AS slept, pg_backend_pid() AS pid /* endless */"
    async with postgres(pooled.analyst_config) as connector:
        running = connector.query(sql) if way == "query" else connector.export(files / "a.csv", query=sql)
        task = asyncio.ensure_future(running)
        await until(lambda: bool(endless_pids(dsn)))
        (killed,) = endless_pids(dsn)
        kill(dsn, [killed])
        done = await task
    if way == "query":
        assert int(done["pid"][0]) != killed
    else:
        assert (files / "a.csv").read_text().splitlines()[1] != f"false,{killed}"


async def test_sessions_that_were_killed_while_idle_cost_nothing(
    postgres_database: PostgresDatabase, pooled: PostgresDatabase
) -> None:
    async with postgres(pooled.analyst_config) as connector:
        await asyncio.gather(*(connector.query("SELECT 1") for _ in range(5)))
        ended = run_sql(
            postgres_database.admin_dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND usename = 'analyst'",
        )
        frames = await asyncio.gather(*(connector.query("SELECT 1 AS a") for _ in range(5)))
    assert ended
    assert [frame["a"][0] for frame in frames] == [1] * 5


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"password": "wrong"}, SourceAuthenticationFailed),
        ({"user": "nobody_knows"}, SourceAuthenticationFailed),
        ({"database": "nowhere"}, SourceUnavailable),
    ],
)
async def test_a_pooler_that_lets_nobody_in_is_told_apart(
    pooled: PostgresDatabase, change: dict[str, str], error: type[DeepAnalyzeError]
) -> None:
    with pytest.raises(error, match=change.get("database", "user or the password")):
        async with postgres({**pooled.analyst_config, **change}):
            pass


@pytest.mark.requirement("2.8")
async def test_the_certificate_is_the_same(
    postgres_database: PostgresDatabase, pooled: PostgresDatabase
) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING)
    for config in (lambda database: database.analyst_config, superuser_config):
        certificates = []
        for database in (postgres_database, pooled):
            async with postgres(config(database)) as connector:
                certificates.append(await connector.certify())
        direct, through = certificates
        assert through.grade == direct.grade
        assert through.findings == direct.findings
        assert through.details["unknown"] == []
