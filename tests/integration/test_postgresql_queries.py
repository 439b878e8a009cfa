"""Queries with parameters, limits and prices; and sessions that are made as they were before they are lent again."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepanalyze.datasources import (
    DataSourceConfig,
    DataSourceRegistry,
    HostNotAllowed,
    InvalidRequest,
    Limits,
    NetworkPolicy,
    PostgreSQLConnector,
    QueryFailed,
    QueryTooCostly,
    ResultTooLarge,
    SupportsPoolStats,
)
from deepanalyze.datasources.limits import SourceDefaults
from tests.support.postgres_sources import defaults, postgres, run_sql, superuser_config
from tests.support.services import PostgresDatabase

PEOPLE = (
    "CREATE TYPE mood AS ENUM ('sunny', 'odd ''one''')",
    "CREATE TABLE people (id int PRIMARY KEY, name text, born date, mood mood, tags text[], doc jsonb)",
    "INSERT INTO people VALUES (1, 'O''Hara', '1990-01-01', 'sunny', '{a,\"b c\"}', '{\"k\": 1}'), "
    "(2, 'x\\y $1 --', '1991-02-03', 'odd ''one''', '{}', NULL)",
    "ANALYZE people",
)


@pytest.mark.parametrize(
    ("where", "params", "ids"),
    [
        ("name = $1", ["O'Hara"], [1]),
        ("name = $1", ["x\\y $1 --"], [2]),
        ("name = $1", ["'; DROP TABLE people; --"], []),
        ("name = $1 OR 1 = 1", ["') OR true --"], [1, 2]),
        ("name LIKE '%$1%' AND id = $1", [2], [2]),
        ("id = $2 AND name <> $1", ["a", 1], [1]),
        ("id = ANY ($1)", [[1, 2, 3]], [1, 2]),
        ("tags @> $1", [["b c"]], [1]),
        ("mood = $1", ["odd 'one'"], [2]),
        ("born > $1", ["1990-06-01"], [2]),
        ("born > $1", [datetime.date(1990, 6, 1)], [2]),
        ("doc @> $1", [{"k": 1}], [1]),
        ("doc -> 'k' = $1", [1], [1]),
        ("id::numeric < $1", [Decimal("1.5")], [1]),
        ("$1::bool", [True], [1, 2]),
        ("$1::int IS NULL", [None], [1, 2]),
        ("$1 = '1'::uuid IS NOT TRUE OR id > $2", [str(uuid.UUID(int=1)), 0], None),
        ("id - $1 > 0", [-1], [1, 2]),
        ("id-$1>0", [1], [2]),
    ],
)
async def test_parameters_are_values_and_nothing_else(
    postgres_database: PostgresDatabase, tmp_path: Path, where: str, params: list[Any], ids: list[int] | None
) -> None:
    run_sql(postgres_database.admin_dsn, *PEOPLE)
    sql = f"SELECT id FROM people WHERE {where} ORDER BY id"
    async with postgres(superuser_config(postgres_database)) as connector:
        if ids is None:
            with pytest.raises(QueryFailed):
                await connector.rows(sql, params=params)
            return
        assert [row[0] for row in (await connector.rows(sql, params=params)).rows] == ids
        assert (await connector.query(sql, params=params))["id"].tolist() == ids
        exported = await connector.export(tmp_path / "x.csv", query=sql, params=params)
        assert exported.rows == len(ids)
        assert exported.params == tuple(params)


@pytest.mark.parametrize(
    ("sql", "params", "words"),
    [
        ("SELECT $1::int", [], "1 parameter .* 0 were given"),
        ("SELECT 1", [1], "no parameters .* 1 were given"),
        ("SELECT $2::int", [1], "2 parameters"),
        ("SELECT $1::text", ["a\x00b"], "NUL"),
        ("SELECT $1::text", [object()], "cannot be sent: object"),
    ],
)
async def test_what_does_not_fit_is_said(
    postgres_database: PostgresDatabase, sql: str, params: list[Any], words: str
) -> None:
    async with postgres(postgres_database.analyst_config) as connector:
        with pytest.raises(InvalidRequest, match=words) as caught:
            await connector.rows(sql, params=params)
    assert (caught.value.param or "").startswith("params")


async def test_any_text_comes_back_as_it_was_given(postgres_database: PostgresDatabase) -> None:
    texts = st.lists(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), min_size=1)
    batches: list[list[str]] = []

    @settings(max_examples=40, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(texts)
    def take(batch: list[str]) -> None:
        batches.append(batch)

    take()
    async with postgres(postgres_database.analyst_config) as connector:
        for batch in batches:
            table = await connector.rows("SELECT unnest($1::text[]), $2", params=[batch, batch[0]])
            assert table.rows == [[text, batch[0]] for text in batch]


@pytest.mark.requirement("2.5")
@pytest.mark.parametrize(
    ("sql", "position"),
    [
        ("SELECT nope FROM people", 8),
        ("/* ☃ */ SELECT id, nope FROM people", 20),
        ("SELECT id\nFROM peeple", 16),
        ("SELECT id FROM people WHERE id = 'x'::date", None),
        ("SELEC 1", 1),
    ],
)
async def test_a_position_is_one_in_the_user_s_text(
    postgres_database: PostgresDatabase, sql: str, position: int | None
) -> None:
    run_sql(postgres_database.admin_dsn, *PEOPLE)
    async with postgres(postgres_database.analyst_config) as connector:
        with pytest.raises(QueryFailed) as caught:
            await connector.rows(sql)
    detail = caught.value.details[0]
    assert detail["sqlstate"]
    assert position is None or detail["position"] == position


@pytest.mark.parametrize(
    ("sql", "params", "position"),
    [
        ("SELECT $1::int, nocol", [1], 17),
        ("/* x */ SELECT $1::int, nocol", [1], 25),
        ("SELECT 1 WHERE $1::text = 'a' AND 2 = $2::int", ["long" * 20, "abc"], None),
    ],
)
async def test_a_position_is_never_one_in_a_text_with_literals_in_it(
    postgres_database: PostgresDatabase, sql: str, params: list[Any], position: int | None
) -> None:
    async with postgres(postgres_database.analyst_config) as connector:
        with pytest.raises(QueryFailed) as caught:
            await connector.rows(sql, params=params)
    assert caught.value.details[0]["position"] == position


async def test_a_query_that_would_cost_too_much_is_not_run(
    postgres_database: PostgresDatabase, tmp_path: Path
) -> None:
    run_sql(postgres_database.admin_dsn, *PEOPLE)
    dear = "SELECT count(*) FROM people a, people b, generate_series(1, 1000000) n"
    async with postgres(postgres_database.analyst_config, statement_cost_limit=1000) as connector:
        assert len(await connector.query("SELECT * FROM people")) == 2
        for run in (
            lambda: connector.query(dear),
            lambda: connector.rows(dear),
            lambda: connector.export(tmp_path / "x.csv", query=dear),
            lambda: connector.export(tmp_path / "x.parquet", query=dear, format="parquet"),
        ):
            with pytest.raises(QueryTooCostly, match="statement_cost_limit") as caught:
                await run()
            (detail,) = caught.value.details
            assert detail["total_cost"] > detail["limit"] == 1000
            assert detail["estimated_rows"] == 1
        plan = await connector.rows("EXPLAIN " + dear)
        assert "cost=" in plan.rows[0][0]
        with pytest.raises(InvalidRequest, match="EXPLAIN ANALYZE runs the query"):
            await connector.rows("EXPLAIN (ANALYZE) " + dear)
    assert list(tmp_path.iterdir()) == []


async def test_the_source_s_own_byte_limit_holds(postgres_database: PostgresDatabase, tmp_path: Path) -> None:
    sql = "SELECT repeat('x', 1000) FROM generate_series(1, 100)"
    async with postgres(
        postgres_database.analyst_config, defaults(limits=Limits(max_result_bytes=10**9)), max_bytes=50_000
    ) as connector:
        for run in (
            lambda: connector.query(sql),
            lambda: connector.rows(sql),
            lambda: connector.export(tmp_path / "x.csv", query=sql),
        ):
            with pytest.raises(ResultTooLarge, match="50000"):
                await run()


async def test_a_request_s_time_limit_holds_up_to_the_ceiling(postgres_database: PostgresDatabase) -> None:
    async with postgres(postgres_database.analyst_config, query_timeout_s=60) as connector:
        with pytest.raises(Exception, match=r"after 0\.2 s"):
            await connector.rows("SELECT pg_sleep(30)", timeout_s=0.2)


@pytest.mark.parametrize(
    ("change", "look", "expected"),
    [
        ("SET work_mem = '1MB'", "SELECT current_setting('work_mem') <> '1MB' AS ok", True),
        ("SET search_path = pg_catalog", "SELECT current_setting('search_path') <> 'pg_catalog' AS ok", True),
        ("SET ROLE pg_monitor", "SELECT current_user::text = session_user::text AS ok", True),
        ("SET statement_timeout = 1", "SELECT current_setting('statement_timeout') <> '1ms' AS ok", True),
        (
            "SELECT pg_advisory_lock(77)",
            "SELECT count(*) = 0 AS ok FROM pg_locks WHERE locktype = 'advisory'",
            True,
        ),
        ("LISTEN somebody", "SELECT count(*) = 0 AS ok FROM pg_listening_channels()", True),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; CREATE TEMP TABLE left_behind (a int)",
            "SELECT to_regclass('pg_temp.left_behind') IS NULL AS ok",
            True,
        ),
        (
            "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
            "SELECT count(*) = 0 AS ok FROM pg_cursors WHERE name = 'c'",
            True,
        ),
        ("SET timezone = 'Asia/Tokyo'", "SELECT current_setting('timezone') <> 'Asia/Tokyo' AS ok", True),
    ],
)
async def test_whatever_a_session_became_the_next_one_does_not_see(
    postgres_database: PostgresDatabase, change: str, look: str, expected: bool
) -> None:
    """What somebody got past the guard, or a function inside a view did."""
    async with postgres(superuser_config(postgres_database), pool_max_size=1, pool_min_size=1) as connector:
        async with connector._reading() as connection:
            await connection.execute("ROLLBACK")
            for statement in change.split("; "):
                await connection.execute(statement)  # type: ignore[call-overload]
        async with connector._reading() as connection:
            found = await (await connection.execute(look)).fetchone()  # type: ignore[call-overload]
            assert found == (expected,)
            mode = await (await connection.execute("SHOW transaction_read_only")).fetchone()
            assert mode == ("on",)


@pytest.mark.requirement("6.5")
async def test_a_source_connects_only_where_it_may(postgres_database: PostgresDatabase) -> None:
    config = postgres_database.analyst_config
    for allowed in (["127.0.0.0/8"], ["127.0.0.1"], ["*"], ["local*", "10.0.0.0/8", "127.0.0.0/30"]):
        async with postgres(config, allowed_networks=allowed) as connector:
            assert await connector.test_connection()
    for host, allowed in (("127.0.0.1", ["10.0.0.0/8"]), ("localhost", ["*.internal", "192.168.0.0/16"])):
        with pytest.raises(HostNotAllowed, match="allowed_networks"):
            async with postgres(config, host=host, allowed_networks=allowed):
                pass


@pytest.mark.requirement("6.5")
async def test_the_server_s_own_list_holds_for_every_source(postgres_database: PostgresDatabase) -> None:
    narrow = SourceDefaults(network=NetworkPolicy.of(["10.0.0.0/8"]))
    async with DataSourceRegistry(defaults=narrow) as registry:
        config = {**postgres_database.analyst_config, "allowed_networks": ["127.0.0.0/8"]}
        source = DataSourceConfig("pg", "postgresql", "pg", config)
        with pytest.raises(HostNotAllowed):
            await registry.register_data_source(source, test_connection=True)
        blob = {"container_name": "data", "account_url": "http://127.0.0.1:1/a", "account_key": "a2V5"}
        with pytest.raises(HostNotAllowed):
            await registry.register_data_source(
                DataSourceConfig("blob", "azure_blob", "blob", blob), test_connection=True
            )
        assert registry.list_data_sources() == []


async def test_the_address_that_was_checked_is_the_one_connected_to(
    postgres_database: PostgresDatabase,
) -> None:
    """A name server cannot answer one thing to the check and another to the connection."""
    async with postgres(postgres_database.analyst_config, host="localhost") as connector:
        parameters = await connector._session._parameters()
        assert set(parameters["hostaddr"].split(",")) <= {"127.0.0.1", "::1"}
        assert set(parameters["host"].split(",")) == {"localhost"}
        async with connector._reading() as connection:
            assert connection.info.hostaddr in parameters["hostaddr"].split(",")


@pytest.mark.requirement("2.7")
async def test_the_pool_tells_its_figures(postgres_database: PostgresDatabase) -> None:
    connector = PostgreSQLConnector(
        DataSourceConfig("pg", "postgresql", "pg", {**postgres_database.analyst_config, "pool_max_size": 3})
    )
    assert isinstance(connector, SupportsPoolStats)
    assert connector.pool_stats() is None
    async with connector:
        async with connector._reading():
            busy = connector.pool_stats()
        idle = connector.pool_stats()
    assert busy is not None
    assert idle is not None
    assert (busy.in_use, busy.max_size, idle.in_use) == (1, 3, 0)
    assert connector.pool_stats() is None
