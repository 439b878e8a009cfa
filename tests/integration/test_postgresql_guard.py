"""What a query may do, tried as a superuser, whom no right holds back. The full corpora come with the full guard."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from deepanalyze.datasources import InvalidRequest, PostgreSQLConnector, QueryFailed, ReadOnlyViolation
from deepanalyze.datasources.connectors.postgresql import functions, known
from deepanalyze.datasources.connectors.postgresql.guard import read_only_statement
from tests.support.postgres_sources import postgres, run_sql, superuser_config
from tests.support.services import PostgresDatabase
from tests.support.sql_attacks import ATTACKS
from tests.support.sql_reads import READS, SETTING
from tests.support.witness import witness

NOT_BUILT_IN = {"0A000"}  # a server built without XML


@pytest.mark.requirement("2.8")
async def test_no_attack_gets_through_or_leaves_a_trace(postgres_database: PostgresDatabase) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING)
    with witness(postgres_database.admin_dsn):
        async with postgres(superuser_config(postgres_database)) as connector:
            passed = await what_gets_through(connector, ATTACKS)
    assert passed == []


async def what_gets_through(connector: PostgreSQLConnector, attacks: Sequence[str]) -> list[tuple[str, str]]:
    passed = []
    for sql in attacks:
        try:
            await connector.query(sql)
        except ReadOnlyViolation as refusal:
            if not refusal.details[0].get("part"):  # the server itself had to stop it
                passed.append((sql, refusal.message))
        except QueryFailed as failure:
            passed.append((sql, failure.message))
        else:
            passed.append((sql, "ran"))
    return passed


async def test_ordinary_reading_is_not_in_the_way(postgres_database: PostgresDatabase) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING)
    async with postgres(superuser_config(postgres_database)) as connector:
        assert await what_is_refused(connector, READS) == []


async def what_is_refused(connector: PostgreSQLConnector, reads: Sequence[str]) -> list[tuple[str, str]]:
    refused = []
    for sql in reads:
        try:
            await connector.query(sql)
        except (ReadOnlyViolation, QueryFailed, InvalidRequest) as error:
            if not (error.details and error.details[0].get("sqlstate") in NOT_BUILT_IN):
                refused.append((sql, error.message))
    return refused


def test_the_corpora_are_large_enough() -> None:
    assert len(set(ATTACKS)) >= 200
    assert len(set(READS)) >= 120


async def test_an_extension_s_own_types_are_not_in_the_way(
    postgres_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It adds `=` and casts to `real[]` for its type; for all other types these stay what they were."""
    run_sql(
        postgres_database.admin_dsn, "CREATE EXTENSION vector", "CREATE TABLE t AS SELECT '[1]'::vector AS v"
    )
    monkeypatch.setattr(known, "TRUSTED_EXTENSIONS", frozenset())
    async with postgres(superuser_config(postgres_database)) as connector:
        await connector.query("SELECT 1 = 1, 1 < 2, 'a' || 'b', '{1}'::real[], v = v, v::text FROM t")
        for sql in ("SELECT '[1]'::vector", "SELECT vector_dims(v) FROM t"):
            with pytest.raises(ReadOnlyViolation):
                await connector.query(sql)


def test_what_an_older_server_calls_otherwise_is_left_to_it() -> None:
    statement = read_only_statement("SELECT extract(year FROM now())", "pg")
    assert ("pg_catalog", "extract") in statement.functions
    now = known.Known("function", "pg_catalog", "now", True, None, False, "nothing")
    functions.judge(statement, [now], ["public"], "pg")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 BETWEEN 0 AND 'sunny'::mood",
        "SELECT 1 NOT BETWEEN SYMMETRIC 'sunny'::mood AND 2",
        "SELECT CASE 1 WHEN 'sunny'::mood THEN 2 END",
        "SELECT 1 IN (SELECT 'sunny'::mood)",
        "SELECT 1 IN (2, 'sunny'::mood)",
        "SELECT NULLIF(1, 'sunny'::mood)",
        "SELECT 1 IS DISTINCT FROM 'sunny'::mood",
        "SELECT * FROM t JOIN (SELECT 'sunny'::mood AS a) u USING (a)",
        "SELECT * FROM t NATURAL JOIN (SELECT 'sunny'::mood AS a) u",
    ],
)
async def test_operators_behind_syntax_are_judged_as_well(
    postgres_database: PostgresDatabase, sql: str
) -> None:
    run_sql(
        postgres_database.admin_dsn,
        *SETTING,
        "CREATE FUNCTION tell(int, mood) RETURNS bool STABLE LANGUAGE sql AS 'SELECT trace()'",
        "CREATE OPERATOR = (leftarg = int, rightarg = mood, function = tell)",
        "CREATE OPERATOR >= (leftarg = int, rightarg = mood, function = tell)",
    )
    async with postgres(superuser_config(postgres_database)) as connector:
        with pytest.raises(ReadOnlyViolation, match="the operator public"):
            await connector.query(sql)


def test_a_function_that_newer_servers_have_syntax_for_is_judged_for_older_ones() -> None:
    statement = read_only_statement("SELECT JSON_VALUE('1', '$')", "pg")
    own = known.Known("function", "public", "json_value", False, None, False, "nothing")
    functions.judge(statement, [own], ["sales"], "pg")
    with pytest.raises(ReadOnlyViolation, match=r"public\.json_value"):
        functions.judge(statement, [own], ["public"], "pg")


def test_what_a_trusted_extension_makes_up_is_harmless() -> None:
    """VOLATILE, since it never gives the same twice; from anybody else it might be anything."""
    statement = read_only_statement("SELECT uuid_generate_v4()", "pg")

    def judge(extension: str | None) -> None:
        made = known.Known("function", "public", "uuid_generate_v4", False, extension, True, "nothing")
        functions.judge(statement, [made], ["public"], "pg")

    judge("uuid-ossp")
    for other in (None, "dblink"):
        with pytest.raises(ReadOnlyViolation, match="uuid_generate_v4"):
            judge(other)


async def test_locks_that_a_view_took_do_not_outlive_the_query(postgres_database: PostgresDatabase) -> None:
    run_sql(postgres_database.admin_dsn, "CREATE VIEW v AS SELECT pg_advisory_lock(7) IS NULL AS a")
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    async with postgres(superuser_config(postgres_database), pool_min_size=1, pool_max_size=1) as connector:
        await connector.query("SELECT * FROM v")
        assert (await connector.query(held))["count"].tolist() == [0]


async def test_a_write_is_refused_by_the_server_as_well(postgres_database: PostgresDatabase) -> None:
    """Where a known-good name hides a write, the READ ONLY transaction answers."""
    run_sql(
        postgres_database.admin_dsn,
        "CREATE TABLE t (a int)",
        "CREATE FUNCTION w() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.t VALUES (1); RETURN 1; END'",
        "CREATE VIEW v AS SELECT w() AS a",
    )
    async with postgres(superuser_config(postgres_database)) as connector:
        with pytest.raises(ReadOnlyViolation, match="INSERT"):
            await connector.query("SELECT * FROM v")
    assert run_sql(postgres_database.admin_dsn, "SELECT count(*) FROM t") == [(0,)]


async def test_a_transaction_cannot_be_made_writable(postgres_database: PostgresDatabase) -> None:
    async with postgres(superuser_config(postgres_database)) as connector:
        with pytest.raises(QueryFailed, match=r"25001|read-write"):
            async with connector._reading() as connection:
                await connection.execute("SET transaction_read_only = off")


async def test_backslashes_mean_what_the_guard_thinks(postgres_database: PostgresDatabase) -> None:
    r"""With standard_conforming_strings off, 'a\' would not end where the parser sees its end."""
    name = postgres_database.name
    run_sql(postgres_database.admin_dsn, f'ALTER DATABASE "{name}" SET standard_conforming_strings = off')  # type: ignore[arg-type]
    async with postgres(superuser_config(postgres_database)) as connector:
        frame = await connector.query(r"SELECT 'a\' AS x, ' || pg_read_file(/etc/passwd) || ' AS y")
    assert frame["x"][0] == "a\\"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1" + " " * 100_000,
        "SELECT " + "(SELECT " * 300 + "1" + ")" * 300,
        # as deep a tree as the limit allows, which must not end the process
        *("SELECT 1" + link * (99_000 // len(link)) for link in ("+1", "::a", " isnull", " union select 1")),
        "SELECT " + "(" * 20 + "1" + ("+1" * 1_500 + ")") * 20,
        "SELECT 1\x00",
        "SELECT '\ud800'",
    ],
)
def test_hostile_texts_are_refused_at_once(sql: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_only_statement(sql, "pg")
    assert caught.value.param == "query"


@pytest.mark.parametrize("sql", ["", " ", ";", "-- nothing", "SELECT 1;;SELECT 2"])
def test_a_query_is_exactly_one_statement(sql: str) -> None:
    with pytest.raises(ReadOnlyViolation, match="exactly one statement"):
        read_only_statement(sql, "pg")


@pytest.mark.requirement("2.5")
@pytest.mark.parametrize(
    ("sql", "sqlstate", "words", "position"),
    [
        ("SELECT * FROM nope", "42P01", 'relation "nope" does not exist', 15),
        ("SELECT 'ä', nope FROM (SELECT 1) q", "42703", 'column "nope" does not exist', 13),
        ("SELEC 1", "42601", "syntax error", 1),
        ("SELECT 'ää', FROM x y z", "42601", "syntax error", 14),
        ("SELECT 1/0", "22012", "division by zero", None),
        ("SELECT nope(1)", "42883", "function nope(integer) does not exist", 8),
        ("SELECT pg_temp.upper('a')", "42883", "function pg_temp.upper does not exist", None),
        ("SELECT 'x'::int", "22P02", "invalid input syntax", 8),
    ],
)
async def test_a_failing_query_tells_what_the_server_says(
    postgres_database: PostgresDatabase, sql: str, sqlstate: str, words: str, position: int | None
) -> None:
    async with postgres(postgres_database.analyst_config) as connector:
        with pytest.raises(QueryFailed) as caught:
            await connector.query(sql)
        assert (await connector.query("SELECT 1 AS a"))["a"].tolist() == [1]
    told = caught.value.details[0]
    assert (told["sqlstate"], told["position"]) == (sqlstate, position)
    assert words in told["message"]
    assert sqlstate in caught.value.message
    assert words in caught.value.message
    assert set(told) == {"sqlstate", "message", "detail", "hint", "position"}
