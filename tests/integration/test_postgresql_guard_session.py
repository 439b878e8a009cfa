"""The profile for sessions that generated code opens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import psycopg
import pytest

from deepanalyze.datasources import PermissionDenied, ReadOnlyViolation
from deepanalyze.datasources.connectors.postgresql.verdicts import Guard
from tests.support.postgres_sources import run_sql
from tests.support.services import PostgresDatabase
from tests.support.sql_attacks import ATTACKS
from tests.support.sql_reads import READS, SETTING

# Of the attacks on single queries, what a session may say: it leads nowhere that is not read-only.
HARMLESS_IN_A_SESSION = {
    "COMMIT",
    "ROLLBACK",
    "ABORT",
    "END",
    "BEGIN",
    "SAVEPOINT a",
    "RELEASE SAVEPOINT a",
    "SELECT 1; SELECT 2",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DEALLOCATE ALL",
    "FETCH ALL FROM c",
    "CLOSE ALL",
    "COPY (SELECT 1) TO STDOUT",
}
SAID = [
    "BEGIN READ ONLY",
    "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
    "START TRANSACTION",
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET TRANSACTION READ ONLY",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "ROLLBACK TO SAVEPOINT a",
    "DECLARE c NO SCROLL CURSOR FOR SELECT * FROM t",
    "FETCH FORWARD 100 FROM c",
    "MOVE 3 IN c",
    "CLOSE c",
    "PREPARE p (int, text) AS SELECT $1, $2",
    "EXECUTE p (1 + 1, upper('a'))",
    "DEALLOCATE p",
    "COPY t TO STDOUT (FORMAT csv, HEADER)",
    "COPY t (a) TO STDOUT",
    "COPY (SELECT a FROM t ORDER BY a) TO STDOUT WITH (FORMAT binary)",
    "SET client_encoding TO 'UTF8'",
    "SET NAMES 'utf-8'",
    "SET application_name = 'x'",
    "SET LOCAL search_path TO public, pg_catalog",
    "SET DateStyle TO 'ISO, MDY'",
    "SET TIME ZONE 'UTC'",
    "SET TIME ZONE INTERVAL '+01:00' HOUR TO MINUTE",
    "SET extra_float_digits = 3",
    "SET bytea_output = 'escape'",
    "SET intervalstyle = 'iso_8601'",
    "SET statement_timeout = 500",
    "SET statement_timeout = '1s'",
    "RESET search_path",
    "RESET timezone",
    "BEGIN; SELECT 1; COMMIT",
    "",
    "-- nothing",
]
REFUSED = [
    "BEGIN READ WRITE",
    "START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ WRITE",
    "SET TRANSACTION READ WRITE",
    "SET TRANSACTION SNAPSHOT '00000003-0000001B-1'",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "COMMIT AND CHAIN",
    "ROLLBACK AND CHAIN",
    "PREPARE TRANSACTION 'x'",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "DECLARE c CURSOR FOR SELECT pg_read_file('/etc/passwd')",
    "DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE",
    "PREPARE p AS DELETE FROM t",
    "PREPARE p AS SELECT pg_advisory_lock(1)",
    "PREPARE p AS INSERT INTO t VALUES (1) RETURNING a",
    "PREPARE p (checked) AS SELECT $1",
    "EXECUTE p (pg_read_file('/etc/passwd'))",
    "EXPLAIN ANALYZE EXECUTE p",
    "COPY t FROM STDIN",
    "COPY t TO '/tmp/x'",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    "COPY (SELECT pg_read_file('/etc/passwd')) TO STDOUT",
    "COPY (DELETE FROM t RETURNING a) TO STDOUT",
    "SET client_encoding TO 'SJIS'",
    "SET NAMES 'GBK'",
    "SET client_encoding TO DEFAULT",
    "SET statement_timeout = 0",
    "SET statement_timeout = '2h'",
    "SET statement_timeout = '100us'",
    "SET statement_timeout = '0.4'",
    "SET statement_timeout = '0.0001min'",
    "SET statement_timeout = -1",
    "SET statement_timeout TO DEFAULT",
    "RESET statement_timeout",
    "RESET ALL",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "SET default_transaction_read_only = off",
    "SET transaction_read_only = off",
    "SET standard_conforming_strings = off",
    "SET escape_string_warning = off",
    "SET session_preload_libraries = 'x'",
    "SET search_path FROM CURRENT",
    "BEGIN; DROP TABLE t; COMMIT",
    "SELECT 1; SET ROLE postgres",
    "LISTEN x",
    "DISCARD ALL",
]


@pytest.fixture
async def session(postgres_database: PostgresDatabase) -> AsyncIterator[Any]:
    run_sql(postgres_database.admin_dsn, *SETTING)
    async with await psycopg.AsyncConnection.connect(
        postgres_database.admin_dsn, autocommit=True
    ) as connection:

        async def look_up(query: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
            return await (await connection.execute(query, parameters or None)).fetchall()  # type: ignore[call-overload]

        async def check(
            sql: str, *, search_path: Sequence[str] | None = ("pg_catalog", "public"), **terms: Any
        ) -> Any:
            guard = Guard("pg", **terms)
            return await guard.check_session(look_up, sql, search_path, statement_timeout_ms=30_000)

        yield check


async def test_what_a_session_may_say(session: Any) -> None:
    for sql in [*SAID, *READS, *sorted(HARMLESS_IN_A_SESSION)]:
        for statement in await session(sql):
            assert statement.text in sql


async def test_what_a_session_may_not_say(session: Any) -> None:
    passed = []
    for sql in [*REFUSED, *(a for a in ATTACKS if a not in HARMLESS_IN_A_SESSION)]:
        try:
            await session(sql)
        except ReadOnlyViolation:
            continue
        passed.append(sql)
    assert passed == []


async def test_each_statement_of_a_text_is_told_apart(session: Any) -> None:
    found = await session("BEGIN; SELECT 'é;' ; COMMIT")
    assert [(s.kind, s.text.strip()) for s in found] == [
        ("transaction", "BEGIN"),
        ("select", "SELECT 'é;'"),
        ("transaction", "COMMIT"),
    ]
    assert [s.offset for s in found] == [0, 7, 21]


async def test_a_limited_source_keeps_its_sessions_to_its_schemas(session: Any) -> None:
    for sql in ("SELECT * FROM hr.x", "COPY hr.x TO STDOUT", "DECLARE c CURSOR FOR TABLE hr.x"):
        with pytest.raises(PermissionDenied):
            await session(sql, schemas=["public"])
    for sql in ("SET search_path TO hr", "SET search_path TO public, hr", "RESET search_path"):
        with pytest.raises(ReadOnlyViolation, match="limited"):
            await session(sql, schemas=["public"])
    await session("SET search_path TO public", schemas=["public"])


async def test_a_name_is_judged_by_what_it_means_when_it_runs(
    session: Any, postgres_database: PostgresDatabase
) -> None:
    run_sql(
        postgres_database.admin_dsn,
        "CREATE SCHEMA other",
        "CREATE FUNCTION other.upper(varchar) RETURNS bool STABLE LANGUAGE sql AS 'SELECT public.stable_f()'",
    )
    for sql in (
        "SELECT upper('a')",
        "BEGIN; SELECT upper('a')",
        "SET application_name = 'x'; SELECT upper('a')",
        "DECLARE c CURSOR FOR SELECT upper('a')",
        "SELECT upper('a'); SET search_path TO other, pg_catalog",
    ):
        await session(sql)
    for sql in (
        "SET search_path TO other, pg_catalog; SELECT upper('a')",
        "SET LOCAL search_path TO other; SELECT 1; COPY (SELECT upper('a')) TO STDOUT",
        "RESET search_path; SELECT upper('a')",
        "ROLLBACK; SELECT upper('a')",
        "COMMIT; SELECT upper('a')",
        "ROLLBACK TO SAVEPOINT a; SELECT upper('a')",
        "PREPARE p AS SELECT upper('a')",
    ):
        with pytest.raises(ReadOnlyViolation, match=r"other\.upper"):
            await session(sql)
    with pytest.raises(ReadOnlyViolation, match=r"other\.upper"):
        await session("SELECT upper('a')", search_path=None)
