"""What a query may do, tried as a superuser, whom no right holds back. The full corpora come with the full guard."""

from __future__ import annotations

import pytest

from deepanalyze.datasources import InvalidRequest, QueryFailed, ReadOnlyViolation
from deepanalyze.datasources.connectors.postgresql import functions
from deepanalyze.datasources.connectors.postgresql.guard import read_only_statement
from tests.support.postgres_sources import postgres, run_sql, superuser_config
from tests.support.services import PostgresDatabase

ATTACKS = [
    # writing
    "INSERT INTO t VALUES (9)",
    "UPDATE t SET a = 9",
    "DELETE FROM t",
    "MERGE INTO t USING (SELECT 1 AS a) s ON t.a = s.a WHEN MATCHED THEN DELETE",
    "TRUNCATE t",
    "DROP TABLE t",
    "ALTER TABLE t ADD b int",
    "CREATE TABLE u (a int)",
    "CREATE TABLE u AS SELECT 1",
    "CREATE TEMP TABLE u (a int)",
    "SELECT 1 AS a INTO u",
    "WITH x AS (INSERT INTO t VALUES (9) RETURNING a) SELECT * FROM x",
    "SELECT * FROM (WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x) y",
    "SELECT * FROM t FOR UPDATE",
    "SELECT * FROM (SELECT * FROM t FOR SHARE) x",
    "EXPLAIN ANALYZE DELETE FROM t",
    "EXPLAIN INSERT INTO t VALUES (9)",
    "EXPLAIN ANALYZE CREATE TABLE u AS SELECT 1",
    "REFRESH MATERIALIZED VIEW m",
    "GRANT ALL ON t TO PUBLIC",
    "COMMENT ON TABLE t IS 'x'",
    # leaving the transaction or the session's settings
    "COMMIT",
    "ROLLBACK",
    "COMMIT; CREATE TABLE u (a int)",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE t",
    "SET transaction_read_only = off",
    "SET TRANSACTION READ WRITE",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "RESET ALL",
    "BEGIN",
    "SAVEPOINT a",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SELECT pg_catalog.set_config('statement_timeout', '0', false)",
    "PREPARE p AS SELECT 1",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "LISTEN x",
    "NOTIFY x",
    "LOCK TABLE t",
    "DISCARD ALL",
    # running code, reaching files and other sessions
    "DO $$ BEGIN CREATE TABLE u (a int); END $$",
    "CALL p()",
    "COPY t TO PROGRAM 'touch /tmp/x'",
    "COPY t TO '/tmp/x'",
    "COPY t FROM STDIN",
    "COPY (SELECT 1) TO STDOUT",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT * FROM pg_read_file('/etc/passwd')",
    "SELECT * FROM ROWS FROM (pg_ls_dir('/'), generate_series(1, 2)) x",
    "SELECT (SELECT pg_read_binary_file('/etc/passwd'))",
    "SELECT 1 ORDER BY pg_read_file('/etc/passwd')",
    "SELECT 1 WHERE EXISTS (SELECT 1 HAVING pg_read_file('/etc/passwd') IS NOT NULL)",
    "SELECT count(*) FILTER (WHERE pg_advisory_lock(1) IS NULL) FROM t",
    "SELECT CASE WHEN true THEN lo_create(1) END",
    "SELECT COALESCE(pg_terminate_backend(1), true)",
    'SELECT "pg_catalog"."pg_cancel_backend"(1)',
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT pg_notify('x', 'y')",
    "SELECT nextval('s')",
    "SELECT setval('s', 9)",
    "SELECT pg_reload_conf()",
    "SELECT pg_switch_wal()",
    "SELECT pg_logical_emit_message(true, 'a', 'b')",
    "SELECT pg_export_snapshot()",
    "SELECT pg_stat_reset()",
    "SELECT query_to_xml('DELETE FROM t', true, true, '')",
    "SELECT ts_stat('SELECT 1')",
    "SELECT ts_rewrite('a'::tsquery, 'SELECT a, b FROM t')",
    "SELECT f()",
    "SELECT public.f()",
    "SELECT * FROM stable_f()",
    "SELECT r.of_row FROM t r",
    "SELECT (r).of_row FROM t r",
    "SELECT 1 <<<>>> 2",
    "SELECT 1 OPERATOR(public.<<<>>>) 2",
    "SELECT 'x'::checked",
    "SELECT '{x}'::checked[]",
    "SELECT ROW('x')::of_checked",
    "SELECT '(x)'::of_checked",
    'SELECT jsonb_populate_record(NULL::of_checked, \'{"x": "y"}\')',
    "SELECT * FROM json_to_record('{\"x\": 1}') AS r(x checked)",
    "SELECT JSON_VALUE('1'::jsonb, '$' RETURNING checked)",
    "SELECT domain_in('x', 'checked'::regtype::oid, -1)",
    "SELECT record_in('(x)', 'of_checked'::regtype::oid, -1)",
    "SELECT array_in('{x}', 'checked'::regtype::oid, -1)",
    "SELECT pg_input_is_valid('x', 'checked')",
    "SELECT * FROM t TABLESAMPLE odd (1)",
    "VACUUM t",
    "ANALYZE t",
    "CHECKPOINT",
    "REINDEX TABLE t",
    "LOAD 'plpgsql'",
    "ALTER SYSTEM SET work_mem = '1MB'",
    "CREATE EXTENSION plpgsql",
    "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'",
]

READS = [
    "SELECT * FROM t",
    "TABLE t",
    "VALUES (1), (2)",
    "SELECT 'update; drop table t' AS delete",
    'SELECT a AS "insert into" FROM t',
    "SELECT count(*), sum(a), avg(a), min(a), max(a), stddev(a) FROM t",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t",
    "SELECT a, rank() OVER (ORDER BY a), lag(a) OVER w FROM t WINDOW w AS (PARTITION BY a % 2 ORDER BY a)",
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM n",
    "WITH x AS MATERIALIZED (SELECT * FROM t) SELECT * FROM x JOIN t USING (a)",
    "SELECT * FROM t LEFT JOIN LATERAL (SELECT t.a + 1 AS b) l ON true",
    "SELECT a FROM t UNION SELECT 1 EXCEPT SELECT 2 INTERSECT SELECT 3",
    "SELECT * FROM t WHERE a IN (SELECT a FROM t) AND a = ANY (ARRAY[1, 2]) AND a BETWEEN 0 AND 9",
    "SELECT * FROM t WHERE a::text LIKE '1%' OR a::text ~* '^2' OR a::text SIMILAR TO '3'",
    "SELECT EXISTS (SELECT FROM t), NOT (SELECT true), a IS DISTINCT FROM 1 FROM t",
    "SELECT DISTINCT ON (a) a FROM t ORDER BY a DESC NULLS LAST LIMIT 5 OFFSET 0",
    "SELECT a, count(*) FROM t GROUP BY GROUPING SETS ((a), ()) HAVING count(*) > 0",
    "SELECT CASE a WHEN 1 THEN 'one' ELSE 'more' END, coalesce(a, 0), nullif(a, 1), greatest(a, 2) FROM t",
    "SELECT now(), current_date, current_timestamp, localtime, clock_timestamp(), timeofday()",
    "SELECT date_trunc('month', now()), extract(dow FROM now()), age(now()), now() - interval '1 day'",
    "SELECT now() AT TIME ZONE 'UTC', to_char(now(), 'YYYY-MM'), make_date(2020, 1, 1)",
    "SELECT upper('a') || lower('B'), length('x'), substring('abc' FROM 2 FOR 1), trim('  a '), position('b' IN 'abc')",
    "SELECT regexp_replace('a', 'b', 'c'), split_part('a,b', ',', 1), string_agg(a::text, ',') FROM t",
    "SELECT round(1.5), ceil(1.2), floor(1.8), power(2, 3), sqrt(4), ln(2), width_bucket(a, 0, 10, 5) FROM t",
    "SELECT random(), gen_random_uuid(), md5('x'), sha256('x')",
    "SELECT * FROM generate_series(1, 3) WITH ORDINALITY g(a, b)",
    "SELECT * FROM generate_series(now(), now() + interval '1 day', '1 hour')",
    "SELECT unnest(ARRAY[1, 2]), (ARRAY[1, 2, 3])[2:3], array_agg(a ORDER BY a) FROM t GROUP BY a",
    "SELECT '{\"a\": 1}'::jsonb -> 'a', '{\"a\": 1}'::json ->> 'a', jsonb_build_object('a', 1)",
    "SELECT * FROM jsonb_each('{\"a\": 1}'), jsonb_to_record('{\"b\": 2}') AS x(b int)",
    "SELECT json_agg(t), max(row_to_json(t)::text) FROM t",
    "SELECT r.a, (r).a, r FROM t r",
    "SELECT * FROM JSON_TABLE('[1]'::jsonb, '$[*]' COLUMNS (a int PATH '$')) j",
    "SELECT to_tsvector('english', 'cats') @@ to_tsquery('cat'), ts_rank(to_tsvector('a'), to_tsquery('a'))",
    "SELECT corr(a, a), regr_slope(a, a), mode() WITHIN GROUP (ORDER BY a) FROM t",
    "SELECT * FROM information_schema.columns WHERE table_name = 't'",
    "SELECT relname, reltuples FROM pg_class WHERE relname = 't'",
    "SELECT pg_size_pretty(pg_total_relation_size('t')), pg_relation_size('t'::regclass)",
    "SELECT version(), current_user, current_database(), current_setting('server_version'), current_schemas(true)",
    "SELECT has_table_privilege('t', 'SELECT'), pg_get_viewdef('v'::regclass), obj_description('t'::regclass)",
    "SELECT * FROM v",
    "SELECT 'sunny'::mood, ROW(1, NULL, NULL)::pair, NULL::t, 5::positive_free",
    "SELECT * FROM t TABLESAMPLE BERNOULLI (50) REPEATABLE (1)",
    "SELECT 1::numeric(10, 2), '1'::int, CAST('2013-01-01' AS date), '1 day'::interval, '{1}'::int[]",
    "SELECT point(1, 2) <-> point(3, 4), '10.0.0.1'::inet << '10.0.0.0/8', int4range(1, 5) @> 3",
    "SELECT 'ä' COLLATE \"C\" < 'b', B'101', X'1F', U&'\\0061', E'\\n', $$dollar$$",
    "EXPLAIN SELECT * FROM t",
    "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM t",
    "SHOW work_mem",
]

SETTING = (
    "CREATE TABLE t (a int)",
    "INSERT INTO t VALUES (1), (2)",
    "CREATE VIEW v AS SELECT a FROM t",
    "CREATE MATERIALIZED VIEW m AS SELECT a FROM t",
    "CREATE SEQUENCE s",
    "CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN INSERT INTO t VALUES (9); END'",
    "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
    "CREATE FUNCTION stable_f() RETURNS bool STABLE LANGUAGE plpgsql AS "
    "'BEGIN RETURN pg_advisory_lock(5) IS NULL; END'",
    "CREATE FUNCTION of_row(t) RETURNS text STABLE LANGUAGE plpgsql AS "
    "'BEGIN RETURN pg_read_file(''/etc/passwd''); END'",
    "CREATE FUNCTION op(int, int) RETURNS int STABLE LANGUAGE plpgsql AS "
    "'BEGIN PERFORM pg_advisory_lock(6); RETURN 1; END'",
    "CREATE OPERATOR <<<>>> (leftarg = int, rightarg = int, function = op)",
    "CREATE DOMAIN checked AS text CHECK (stable_f())",
    "CREATE TYPE of_checked AS (x checked)",
    "CREATE DOMAIN positive_free AS int",
    "CREATE TYPE mood AS ENUM ('sunny')",
    "CREATE TYPE pair AS (a int, b mood, c mood[])",
)

# Everything that an attack could have left behind.
TRACES = """
SELECT (SELECT array_agg(a ORDER BY a) FROM t)::text,
       (SELECT count(*) FROM pg_class WHERE oid >= 16384), (SELECT count(*) FROM pg_proc WHERE oid >= 16384),
       (SELECT last_value::text || is_called FROM s), (SELECT count(*) FROM pg_largeobject_metadata),
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), (SELECT count(*) FROM pg_prepared_xacts),
       (SELECT relacl::text FROM pg_class WHERE relname = 't'), obj_description('t'::regclass)
"""


@pytest.mark.requirement("2.8")
async def test_no_attack_gets_through_or_leaves_a_trace(postgres_database: PostgresDatabase) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING)
    before = run_sql(postgres_database.admin_dsn, TRACES)
    passed = []
    async with postgres(superuser_config(postgres_database)) as connector:
        for sql in ATTACKS:
            try:
                await connector.query(sql)
            except ReadOnlyViolation as refusal:
                if not refusal.details[0].get("part"):  # the server itself had to stop it
                    passed.append((sql, refusal.message))
            except QueryFailed as failure:
                passed.append((sql, failure.message))
            else:
                passed.append((sql, "ran"))
    assert passed == []
    assert run_sql(postgres_database.admin_dsn, TRACES) == before


async def test_ordinary_reading_is_not_in_the_way(postgres_database: PostgresDatabase) -> None:
    run_sql(postgres_database.admin_dsn, *SETTING)
    refused = []
    async with postgres(superuser_config(postgres_database)) as connector:
        for sql in READS:
            try:
                await connector.query(sql)
            except (ReadOnlyViolation, QueryFailed, InvalidRequest) as error:
                refused.append((sql, error.message))
    assert refused == []


def test_the_corpora_are_large_enough() -> None:
    assert len(set(ATTACKS)) >= 40
    assert len(set(READS)) >= 40


async def test_an_extension_s_own_types_are_not_in_the_way(
    postgres_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It adds `=` and casts to `real[]` for its type; for all other types these stay what they were."""
    run_sql(
        postgres_database.admin_dsn, "CREATE EXTENSION vector", "CREATE TABLE t AS SELECT '[1]'::vector AS v"
    )
    monkeypatch.setattr(functions, "TRUSTED_EXTENSIONS", frozenset())
    async with postgres(superuser_config(postgres_database)) as connector:
        await connector.query("SELECT 1 = 1, 1 < 2, 'a' || 'b', '{1}'::real[], v = v, v::text FROM t")
        for sql in ("SELECT '[1]'::vector", "SELECT vector_dims(v) FROM t"):
            with pytest.raises(ReadOnlyViolation):
                await connector.query(sql)


def test_what_an_older_server_calls_otherwise_is_left_to_it() -> None:
    statement = read_only_statement("SELECT extract(year FROM now())", "pg")
    assert ("pg_catalog", "extract") in statement.functions
    now = functions.Known("function", "pg_catalog", "now", True, None, False, False)
    functions.judge(statement, [now], ["public"], "pg")


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
