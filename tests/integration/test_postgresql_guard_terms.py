"""What a source adds to the guard's rules: allowed functions, an allow list of schemas, writing on request."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
import pytest

from deepanalyze.datasources import InvalidRequest, PermissionDenied, QueryFailed, ReadOnlyViolation
from deepanalyze.datasources.connectors.postgresql.verdicts import Guard
from tests.support.postgres_sources import postgres, run_sql, superuser_config
from tests.support.services import PostgresDatabase
from tests.support.sql_attacks import ATTACKS
from tests.support.sql_reads import SETTING

WRITES = (
    "INSERT",
    "UPDATE",
    "DELETE",
    "MERGE",
    "WITH x AS (INSERT",
    "WITH x AS (MERGE",
    "SELECT * FROM (WITH x AS (DELETE",
)


@pytest.mark.parametrize(
    ("allowed", "sql"),
    [
        ("f", "SELECT f()"),
        ("public.f", "SELECT public.f(), f()"),
        ("public.f()", "SELECT f()"),
        ("public.*", "SELECT f(), stable_f(), 1 <<<>>> 2"),
        ("of_row", "SELECT r.of_row FROM t r WHERE false"),
        ("pg_catalog.pg_stat_file", "SELECT size FROM pg_stat_file('PG_VERSION')"),
        ("extension:vector", "SELECT '[1]'::vector"),
    ],
)
async def test_what_an_administrator_allows_runs(
    postgres_database: PostgresDatabase, allowed: str, sql: str
) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING, "CREATE EXTENSION vector")
    async with postgres(superuser_config(postgres_database), allowed_functions=[allowed]) as connector:
        await connector.query(sql)
        for refused in ("SELECT pg_read_file('/etc/passwd')", "SELECT pg_advisory_lock(1)", "DROP TABLE t"):
            with pytest.raises(ReadOnlyViolation):
                await connector.query(refused)


@pytest.mark.parametrize(
    "entry", ["pg_catalog.*", "information_schema.*", "a b", "", "a.b.c", "extension:", "x(y)"]
)
async def test_what_allows_nothing_sensible_is_refused(entry: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        async with postgres({"host": "h", "database": "d", "user": "u"}, allowed_functions=[entry]):
            pass
    assert caught.value.param == "config.allowed_functions"


async def test_a_refusal_says_what_could_be_allowed(postgres_database: PostgresDatabase) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING)
    async with postgres(superuser_config(postgres_database)) as connector:
        with pytest.raises(ReadOnlyViolation, match=r"add 'public\.f' to allowed_functions") as caught:
            await connector.query("SELECT f()")
    (detail,) = caught.value.details
    assert detail["part"] == "the function public.f"
    assert "allowed_functions" in detail["remedy"]


async def test_only_the_schemas_of_the_list_can_be_named(
    postgres_database: PostgresDatabase, tmp_path: Any
) -> None:
    run_sql(
        postgres_database.admin_dsn,
        *SETTING,
        "CREATE SCHEMA hr",
        "CREATE TABLE hr.salaries (a int)",
        "INSERT INTO hr.salaries VALUES (7)",
        "CREATE VIEW public.sums AS SELECT sum(a) FROM hr.salaries",
        "ANALYZE",
    )
    async with postgres(superuser_config(postgres_database), schemas=["public"]) as connector:
        for sql in (
            "SELECT * FROM hr.salaries",
            'SELECT * FROM t, LATERAL (SELECT * FROM "hr"."salaries") x',
            "WITH x AS (TABLE hr.salaries) TABLE x",
            "SELECT most_common_vals FROM pg_stats",
            "SELECT * FROM pg_catalog.pg_statistic",
        ):
            with pytest.raises(PermissionDenied, match="limited to the schemas public"):
                await connector.query(sql)
        for sql in (
            "SELECT table_to_xml('hr.salaries'::regclass, true, true, '')",
            "SELECT schema_to_xml('hr', true, true, '')",
            "SELECT database_to_xml(true, true, '')",
        ):
            with pytest.raises(ReadOnlyViolation, match="by name"):
                await connector.query(sql)
        with pytest.raises(QueryFailed, match="does not exist"):
            await connector.query("SELECT * FROM salaries")
        for sql in (
            "SELECT * FROM public.t",
            "SELECT * FROM t",
            "SELECT * FROM sums",
            "SELECT * FROM pg_class",
        ):
            await connector.query(sql)
        with pytest.raises(Exception, match="no table or view"):
            await connector.export(tmp_path / "x.csv", table="hr.salaries")
        assert [item.name for item in await connector.list_items()] == ["public"]


@pytest.mark.requirement("2.8")
async def test_a_writable_source_takes_one_write_from_those_who_may(
    postgres_database: PostgresDatabase,
) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING, "CREATE TABLE k (a int PRIMARY KEY, b text)")
    async with postgres(superuser_config(postgres_database), read_only=False) as connector:
        table = await connector.rows("INSERT INTO t VALUES ($1), ($2) RETURNING a", params=[10, 11])
        assert (table.rows, table.rows_affected) == ([[10], [11]], 2)
        assert (await connector.rows("UPDATE t SET a = a + 1 WHERE a >= 10")).rows_affected == 2
        assert (await connector.rows("DELETE FROM t WHERE a > 100")).rows_affected == 0
        merged = await connector.rows(
            "MERGE INTO t USING (VALUES (11)) s(a) ON t.a = s.a WHEN MATCHED THEN DELETE"
        )
        assert merged.rows_affected == 1
        upsert = "INSERT INTO k VALUES (1, $1) ON CONFLICT (a) DO UPDATE SET b = excluded.b RETURNING b"
        for text in ("it's", "\\'; DROP TABLE k; --"):
            assert (await connector.rows(upsert, params=[text])).rows == [[text]]
        moved = await connector.rows(
            "WITH gone AS (DELETE FROM t WHERE a = 12 RETURNING a) INSERT INTO k SELECT a, 'moved' FROM gone"
        )
        assert moved.rows_affected == 1
        assert (await connector.rows("INSERT INTO t SELECT nextval('s') RETURNING a")).rows == [[1]]
        assert (await connector.rows("SELECT count(*) FROM t")).rows_affected is None
        with pytest.raises(ReadOnlyViolation, match="`write` grant"):
            await connector.rows("DELETE FROM t", may_write=False)
        with pytest.raises(QueryFailed, match="23505"):
            await connector.rows("INSERT INTO k VALUES (1, 'twice')")
        with pytest.raises(ReadOnlyViolation):
            await connector.query("DELETE FROM t")
    assert run_sql(postgres_database.admin_dsn, "SELECT count(*) FROM t") == [(3,)]
    assert run_sql(postgres_database.admin_dsn, "SELECT a, b FROM k ORDER BY a") == [
        (1, "\\'; DROP TABLE k; --"),
        (12, "moved"),
    ]


async def test_a_write_that_fails_leaves_nothing(postgres_database: PostgresDatabase) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING)
    async with postgres(superuser_config(postgres_database), read_only=False, pool_max_size=1) as connector:
        with pytest.raises(QueryFailed, match="22012"):
            await connector.rows("INSERT INTO t SELECT 1 / (3 - n) FROM generate_series(1, 5) n")
        again = await connector.rows("SELECT count(*) FROM t")
    assert again.rows == [[2]]


async def test_everything_but_single_writes_stays_refused_on_a_writable_source(
    postgres_database: PostgresDatabase,
) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING)
    passed = []
    async with postgres(superuser_config(postgres_database), read_only=False) as connector:
        for sql in ATTACKS:
            if sql.startswith(WRITES) or "val('s')" in sql or "lastval" in sql:
                continue
            try:
                await connector.rows(sql)
            except ReadOnlyViolation as refusal:
                if not refusal.details[0].get("part"):
                    passed.append((sql, refusal.message))
            except QueryFailed as failure:
                passed.append((sql, failure.message))
            else:
                passed.append((sql, "ran"))
    assert passed == []


@pytest.mark.parametrize(
    ("sql", "made"),
    [
        ("SELECT evil()", "CREATE FUNCTION evil() RETURNS int {}"),
        ("SELECT upper('a'::varchar)", "CREATE FUNCTION upper(varchar) RETURNS int {}"),
        ("SELECT t.evil FROM t", "CREATE FUNCTION evil(t) RETURNS int {}"),
        ("SELECT later()", "ALTER FUNCTION hidden.later() SET SCHEMA public"),
    ],
)
async def test_what_is_made_after_a_verdict_is_seen_at_once(
    postgres_database: PostgresDatabase, sql: str, made: str
) -> None:
    """Verdicts are remembered, but not past the next transaction: a name may mean something else by then."""
    body = "STABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_lock(9); RETURN 1; END'"
    run_sql(
        postgres_database.admin_dsn,
        *SETTING,
        "CREATE SCHEMA hidden",
        f"CREATE FUNCTION hidden.later() RETURNS int {body}",
    )
    async with postgres(superuser_config(postgres_database)) as connector:
        for _ in range(2):
            with contextlib.suppress(QueryFailed):
                await connector.query(sql)
        run_sql(postgres_database.admin_dsn, made.format(body))  # type: ignore[arg-type]
        with pytest.raises(ReadOnlyViolation):
            await connector.query(sql)


async def test_verdicts_hold_while_no_transaction_has_come_or_gone(
    postgres_database: PostgresDatabase,
) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING)
    asked: list[str] = []
    guard = Guard("pg")
    async with await psycopg.AsyncConnection.connect(
        postgres_database.admin_dsn, autocommit=True
    ) as connection:

        async def look_up(query: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
            asked.append(query)
            return await (await connection.execute(query, parameters or None)).fetchall()  # type: ignore[call-overload]

        here, there = ["pg_catalog", "public"], ["evil", "pg_catalog", "public"]
        for snapshot, path, times in (
            ("10:10:", here, 1),
            ("10:10:", here, 0),
            ("10:10:", there, 1),
            ("11:11:", there, 1),
            (None, there, 1),
            (None, there, 1),
        ):
            asked.clear()
            await guard.check(look_up, "SELECT upper('a'), no_such_column FROM t", path, snapshot=snapshot)
            assert len(asked) == times


async def test_another_search_path_is_another_verdict(postgres_database: PostgresDatabase) -> None:
    """Changing a role's settings or the server's takes no transaction of the database."""
    run_sql(
        postgres_database.admin_dsn,
        *SETTING,
        "CREATE SCHEMA evil",
        "CREATE FUNCTION evil.f() RETURNS int STABLE LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_advisory_lock(9); RETURN 1; END'",
    )
    config = superuser_config(postgres_database)
    async with postgres(config, allowed_functions=["public.f"], pool_max_size=1) as connector:
        for _ in range(2):
            await connector.query("SELECT f()")
        async with connector._session.reading() as lease:
            await lease.connection.execute("SET LOCAL search_path = evil, public")
            lease.search_path = ("pg_catalog", "evil", "public")
            with pytest.raises(ReadOnlyViolation, match=r"evil\.f"):
                await connector._reader()._check(lease, "SELECT f()", may_write=False)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE pg_catalog.pg_proc SET provolatile = 'i' WHERE proname = 'pg_read_file'",
        "UPDATE pg_proc SET provolatile = 'i' WHERE proname = 'pg_read_file'",
        "UPDATE pg_settings SET setting = '1MB' WHERE name = 'work_mem'",
        "DELETE FROM pg_authid",
        "INSERT INTO information_schema.sql_features (feature_id) VALUES ('x')",
        "WITH x AS (DELETE FROM pg_catalog.pg_description RETURNING 1) SELECT * FROM x",
        "MERGE INTO pg_class c USING t ON false WHEN MATCHED THEN DELETE",
    ],
)
@pytest.mark.parametrize("schemas", [None, ["public"]])
async def test_nobody_writes_to_the_catalogue(
    postgres_database: PostgresDatabase, sql: str, schemas: list[str] | None
) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING)
    config = superuser_config(postgres_database)
    limited = {"schemas": schemas} if schemas else {}
    async with postgres(config, read_only=False, **limited) as connector:
        with pytest.raises(ReadOnlyViolation, match="belongs to the catalogue"):
            await connector.rows(sql)


async def test_a_merge_may_tell_what_it_did(postgres_database: PostgresDatabase) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING)
    sql = (
        "MERGE INTO t USING (VALUES (2), (3)) s(b) ON t.a = s.b WHEN MATCHED THEN DELETE "
        "WHEN NOT MATCHED THEN INSERT VALUES (s.b) RETURNING merge_action(), s.b"
    )
    async with postgres(superuser_config(postgres_database), read_only=False) as connector:
        assert sorted((await connector.rows(sql)).rows) == [["DELETE", 2], ["INSERT", 3]]
