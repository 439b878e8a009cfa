"""The first rows of relations, and how values look as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deepanalyze.datasources import InvalidRequest, QueryTimeout
from tests.support.postgres_sources import postgres, run_sql
from tests.support.services import PostgresDatabase


@pytest.mark.requirement("8.3")
async def test_the_first_rows_ten_unless_told_otherwise(postgres_database: PostgresDatabase) -> None:
    run_sql(
        postgres_database.admin_dsn,
        "CREATE TABLE numbers AS SELECT n, 'row ' || n AS t FROM generate_series(1, 25) n",
        "CREATE VIEW ten AS SELECT * FROM numbers WHERE n <= 10",
        "CREATE MATERIALIZED VIEW few AS SELECT * FROM numbers WHERE n <= 3",
        "GRANT SELECT ON few TO analyst",
        "CREATE TABLE nothing (a int)",
    )
    async with postgres(postgres_database.analyst_config) as connector:
        first = await connector.preview("numbers")
        whole = await connector.preview("public.numbers", limit=25)
        ten = await connector.preview("ten")
        few = await connector.preview("few", limit=2)
        nothing = await connector.preview("nothing")
    assert first.rows == [[n, f"row {n}"] for n in range(1, 11)]
    assert [(c.name, c.type) for c in first.columns] == [("n", "integer"), ("t", "text")]
    assert first.truncated
    assert (len(whole.rows), whole.truncated) == (25, False)
    assert (len(ten.rows), ten.truncated) == (10, False)
    assert (len(few.rows), few.truncated) == (2, True)
    assert (nothing.rows, nothing.truncated, nothing.columns[0].name) == ([], False, "a")


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_limit_has_limits(postgres_database: PostgresDatabase, limit: int) -> None:
    run_sql(postgres_database.admin_dsn, "CREATE TABLE t AS SELECT generate_series(1, 1001) AS n")
    async with postgres(postgres_database.analyst_config) as connector:
        with pytest.raises(InvalidRequest, match=f"from 1 to 1000, not {limit}") as caught:
            await connector.preview("t", limit=limit)
        most = await connector.preview("t", limit=1000)
    assert caught.value.param == "limit"
    assert (len(most.rows), most.truncated) == (1000, True)


VALUES: list[tuple[str, Any]] = [
    ("NULL::int", None),
    ("(-32768)::int2", -32768),
    ("9223372036854775807::int8", 9223372036854775807),
    ("4294967295::oid", 4294967295),
    ("true", True),
    ("false", False),
    ("''::text", ""),
    ("'NULL'::text", "NULL"),
    ("'grün 🦩'::text", "grün 🦩"),
    ("'ab'::char(4)", "ab  "),
    ("0.1::float8", 0.1),
    ("0.1::float4", 0.1),
    ("1e300::float8", 1e300),
    ("'NaN'::float8", "NaN"),
    ("'-Infinity'::float4", "-Infinity"),
    ("12.50::numeric", 12.5),
    ("5::numeric", 5.0),
    ("0.1::numeric", 0.1),
    ("9007199254740993::numeric", "9007199254740993"),
    ("0.12345678901234567890::numeric", "0.12345678901234567890"),
    ("0.3333333333333333::numeric", 0.3333333333333333),
    ("('1' || repeat('0', 400))::numeric", "1" + "0" * 400),
    ("'NaN'::numeric", "NaN"),
    ("'Infinity'::numeric", "Infinity"),
    ("'2024-02-29'::date", "2024-02-29"),
    ("'0044-03-15 BC'::date", "0044-03-15 BC"),
    ("'infinity'::date", "infinity"),
    ("'-infinity'::timestamp", "-infinity"),
    ("'294276-12-31 23:59:59.999999'::timestamp", "294276-12-31 23:59:59.999999"),
    ("'2024-01-01 12:00:00.5+00'::timestamptz", "2024-01-01 12:00:00.5+00"),
    ("'24:00:00'::time", "24:00:00"),
    ("'1 year 2 mons -3 days 04:05:06'::interval", "1 year 2 mons -3 days +04:05:06"),
    ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("'[1,5)'::int4range", "[1,5)"),
    ("'{[1,2),[5,6)}'::int4multirange", "{[1,2),[5,6)}"),
    (r"'\x00ff'::bytea", r"\x00ff"),
    ("'10.0.0.1'::inet", "10.0.0.1"),
    ("'(1,2)'::point", "(1,2)"),
    ("ROW(1, NULL)::pair", "(1,)"),
    ("ROW(NULL, NULL)::pair", "(,)"),
    ("""'{"a": [1, 2.5, null, "x"], "b": {}}'::jsonb""", {"a": [1, 2.5, None, "x"], "b": {}}),
    ("""'{"b": 9007199254740993, "a": 0.12345678901234567890}'::json""",
     {"b": 9007199254740993, "a": "0.12345678901234567890"}),
    ("'[1e400, 1e-400]'::json", ["1e400", "1e-400"]),
    ("'null'::jsonb", None),
    ("""'"text"'::jsonb""", "text"),
    (r"""'"half a pair: \ud800"'::json""", r'"half a pair: \ud800"'),
    (r"""'"a pair: \ud83e\udda9"'::json""", "a pair: 🦩"),
    ("(repeat('[', 200) || repeat(']', 200))::json", "[" * 200 + "]" * 200),
    ("ARRAY[1, NULL, 3]", [1, None, 3]),
    ("ARRAY[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
    ("'[0:1]={7,8}'::int[]", [7, 8]),
    ("'{}'::text[]", []),
    ("""ARRAY['a,b', 'NULL', '"', '', NULL]""", ["a,b", "NULL", '"', "", None]),
    ("ARRAY[true, false]", [True, False]),
    ("ARRAY[1.5, 'NaN']::numeric[]", [1.5, "NaN"]),
    ("ARRAY['infinity', '2024-01-01']::date[]", ["infinity", "2024-01-01"]),
    ("""ARRAY['{"a": 1}', '[]']::jsonb[]""", [{"a": 1}, []]),
    (r"ARRAY['\x01', '\xff']::bytea[]", [r"\x01", r"\xff"]),
    ("'{(2,2),(1,1);(4,4),(3,3)}'::box[]", ["(2,2),(1,1)", "(4,4),(3,3)"]),
    ("'1 2'::int2vector", "1 2"),
    ("'happy'::mood", "happy"),
    ("ARRAY['happy', NULL]::mood[]", ["happy", None]),
    ("ARRAY[1, 2]::small[]", [1, 2]),
    ("7::small", 7),
    ("ARRAY[1, 2]::smalls", [1, 2]),
]  # fmt: skip


async def test_values_are_exact_and_what_json_can_hold(postgres_database: PostgresDatabase) -> None:
    with_names = ", ".join(f"{expression} AS c{n}" for n, (expression, _) in enumerate(VALUES))
    run_sql(
        postgres_database.admin_dsn,
        "CREATE TYPE mood AS ENUM ('happy')",
        "CREATE TYPE pair AS (a int, b int)",
        "CREATE DOMAIN small AS int CHECK (VALUE < 10)",
        "CREATE DOMAIN smalls AS int[]",
        f"CREATE VIEW everything AS SELECT {with_names}",  # type: ignore[arg-type]
    )
    async with postgres(postgres_database.analyst_config) as connector:
        table = await connector.preview("everything")
    assert json.loads(json.dumps(table.rows, allow_nan=False, ensure_ascii=False).encode()) == table.rows
    (row,) = table.rows
    shown = {expression: value for (expression, _), value in zip(VALUES, row, strict=True)}
    assert shown == dict(VALUES)
    # 5.0 is not 5, nor 1 True
    assert {e: type(v) for e, v in shown.items()} == {e: type(v) for e, v in VALUES}


async def test_long_values_are_cut_by_the_server(postgres_database: PostgresDatabase) -> None:
    run_sql(
        postgres_database.admin_dsn,
        "CREATE TABLE long AS SELECT repeat('é', 1000) AS fits, repeat('é', 100001) AS t, "
        "repeat('x', 1500)::varchar(2000) AS v, decode(repeat('ff', 500), 'hex') AS b, "
        "decode(repeat('00', 499), 'hex') AS short, "
        "jsonb_build_array(repeat('j', 2000)) AS j, array_fill(1, ARRAY[2000]) AS a, "
        "(SELECT array_agg(n) FROM generate_series(1, 200) n) AS list",
    )
    async with postgres(postgres_database.analyst_config) as connector:
        ((fits, t, v, b, short, j, a, some),) = (await connector.preview("long")).rows
    assert fits == "é" * 1000
    assert t == "é" * 1000 + "…"
    assert v == "x" * 1000 + "…"
    assert b == "\\x" + "ff" * 499 + "…"
    assert short == "\\x" + "00" * 499
    assert j == '["' + "j" * 998 + "…"
    assert a == ("{" + "1," * 1000)[:1000] + "…"
    assert some == list(range(1, 201))


async def test_a_preview_of_what_takes_too_long_is_stopped(postgres_database: PostgresDatabase) -> None:
    run_sql(
        postgres_database.admin_dsn,
        "CREATE VIEW slow AS SELECT count(*) FROM generate_series(1, 1000000000000)",
    )
    async with postgres(postgres_database.analyst_config, query_timeout_s=1) as connector:
        with pytest.raises(QueryTimeout):
            await connector.preview("slow")
        assert await connector.test_connection()
