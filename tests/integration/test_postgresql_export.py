"""What arrives in a CSV file or a DataFrame is what the database holds."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from deepanalyze.datasources import (
    AlreadyExists,
    DataReference,
    InvalidRequest,
    Limits,
    NotSupported,
    Progress,
    QueryFailed,
    ReadOnlyViolation,
    ResultTooLarge,
    TableNotFound,
)
from deepanalyze.datasources.fetch import fetch
from tests.support.postgres_sources import defaults, postgres, run_sql, superuser_config
from tests.support.services import PostgresDatabase

ESCAPE = "SELECT 1) AS q) TO STDOUT; COMMIT; CREATE TABLE pwn(a int); COPY (SELECT * FROM (SELECT 1"


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


async def test_every_kind_of_value_survives_the_way_into_a_file(
    postgres_database: PostgresDatabase, tmp_path: Path
) -> None:
    sql = """
    SELECT 'a,"b"' AS quotes, E'one\\ntwo\\r\\nthree' AS lines, NULL AS absent, '' AS empty, 'Ä 漢字 🙂' AS "Größe",
           true AS yes, false AS no, NULL::bool AS maybe, 0.1::numeric(20,10) AS exact, 12345678901234567890 AS big,
           1e300::float8 AS huge, 'NaN'::float8 AS nan, timestamptz '2013-01-01 05:00:00.123456+00' AS at,
           date '2013-01-01' AS day, interval '1 day 02:03' AS span, '\\xdead'::bytea AS raw, ARRAY[1,NULL] AS list,
           '{"a": "b"}'::jsonb AS doc, '\\.' AS marker, 1 AS twice, 2 AS twice -- and a comment; at the end
    """
    async with postgres(postgres_database.analyst_config) as connector:
        exported = await connector.export(tmp_path / "x.csv", query=sql + ";")
    header, values = rows_of(tmp_path / "x.csv")
    found = dict(zip(header, values, strict=True))
    assert found["quotes"] == 'a,"b"'
    assert found["lines"] == "one\ntwo\r\nthree"
    assert (found["yes"], found["no"], found["maybe"]) == ("true", "false", "")
    assert (found["exact"], found["big"], found["huge"]) == ("0.1000000000", "12345678901234567890", "1e+300")
    assert found["at"].startswith("2013-01-01 05:00:00.123456+00") or "2013-01-01" in found["at"]
    assert (found["day"], found["raw"], found["list"]) == ("2013-01-01", "\\xdead", "{1,NULL}")
    assert (found["Größe"], found["marker"]) == ("Ä 漢字 🙂", "\\.")
    assert (found["twice"], found["twice_2"]) == ("1", "2")
    line = (tmp_path / "x.csv").read_text().splitlines()[-1]
    assert ',,"",' in line  # NULL and the empty text stay apart
    assert exported.bytes == (tmp_path / "x.csv").stat().st_size
    assert (exported.rows, exported.truncated) == (1, False)
    assert [c.name for c in exported.columns] == header
    assert {c.name: c.type for c in exported.columns}["exact"] == "numeric(20,10)"


async def test_the_header_is_there_without_rows(postgres_database: PostgresDatabase, tmp_path: Path) -> None:
    async with postgres(postgres_database.analyst_config) as connector:
        exported = await connector.export(tmp_path / "x.csv", query='SELECT 1 AS "a,b", 2 AS c WHERE false')
    assert (tmp_path / "x.csv").read_text() == '"a,b",c\n'
    assert (exported.rows, exported.truncated) == (0, False)


@pytest.mark.requirement("10.2")
@pytest.mark.parametrize(
    ("limit", "rows", "truncated"), [(9, 9, True), (10, 10, False), (11, 10, False), (1, 1, True)]
)
async def test_more_rows_than_allowed_are_cut_and_told(
    postgres_database: PostgresDatabase, tmp_path: Path, limit: int, rows: int, truncated: bool
) -> None:
    sql = "SELECT n FROM generate_series(1, 10) n ORDER BY n DESC"
    async with postgres(postgres_database.analyst_config) as connector:
        exported = await connector.export(tmp_path / "x.csv", query=sql, max_rows=limit)
        frame = await connector.query(sql, max_rows=limit)
    assert (exported.rows, exported.truncated) == (rows, truncated)
    assert [int(n) for (n,) in rows_of(tmp_path / "x.csv")[1:]] == list(range(10, 10 - rows, -1))
    assert (list(frame["n"]), frame.attrs["truncated"]) == (list(range(10, 10 - rows, -1)), truncated)


@pytest.mark.requirement("10.2")
async def test_the_row_limit_is_ten_thousand_unless_the_source_or_request_says_otherwise(
    postgres_database: PostgresDatabase, tmp_path: Path
) -> None:
    sql = "SELECT generate_series(1, 20000) AS n"
    async with postgres(postgres_database.analyst_config) as connector:
        assert (await connector.export(tmp_path / "a.csv", query=sql)).rows == 10_000
        assert (await connector.export(tmp_path / "b.csv", query=sql, max_rows=15_000)).rows == 15_000
    ceiling = defaults(limits=Limits(max_result_rows_ceiling=12_000))
    async with postgres(postgres_database.analyst_config, ceiling, max_rows=500) as connector:
        assert (await connector.export(tmp_path / "c.csv", query=sql)).rows == 500
        assert (await connector.export(tmp_path / "d.csv", query=sql, max_rows=15_000)).rows == 12_000


async def test_a_result_over_its_byte_limit_leaves_no_file(
    postgres_database: PostgresDatabase, tmp_path: Path
) -> None:
    small = defaults(limits=Limits(max_result_bytes=100_000))
    async with postgres(postgres_database.analyst_config, small) as connector:
        with pytest.raises(ResultTooLarge, match="100000 bytes"):
            await connector.export(
                tmp_path / "x.csv", query="SELECT repeat('x', 1000) FROM generate_series(1, 9999)"
            )
        assert list(tmp_path.iterdir()) == []
        await connector.export(tmp_path / "x.csv", query="SELECT 1")


async def test_many_rows_arrive_in_order_with_progress(
    postgres_database: PostgresDatabase, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    async with postgres(postgres_database.analyst_config) as connector:
        exported = await connector.export(
            tmp_path / "x.csv",
            query="SELECT n, md5(n::text) AS h FROM generate_series(1, 300000) n ORDER BY n",
            max_rows=1_000_000,
            on_progress=seen.append,
        )
    frame = pd.read_csv(tmp_path / "x.csv")
    assert (exported.rows, exported.truncated) == (300_000, False)
    assert frame["n"].tolist() == list(range(1, 300_001))
    assert seen[-1] == Progress(bytes=exported.bytes, rows=300_000)
    assert [p.bytes for p in seen] == sorted(p.bytes for p in seen)


@pytest.mark.parametrize(
    "sql",
    [
        "VALUES (1, 'a'), (2, 'b')",
        "TABLE pg_catalog.pg_class LIMIT 3",
        "WITH a AS (SELECT 1 AS x) SELECT * FROM a UNION ALL SELECT 2",
        "SELECT 1 AS x -- ends in a comment",
        "SELECT 1 AS x /* ; */ ;; ; -- and more",
        "EXPLAIN SELECT 1",
        "EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1",
        "SHOW server_version",
    ],
)
async def test_every_way_to_read_can_be_saved(
    postgres_database: PostgresDatabase, tmp_path: Path, sql: str
) -> None:
    async with postgres(postgres_database.analyst_config) as connector:
        exported = await connector.export(tmp_path / "x.csv", query=sql)
        assert len(await connector.query(sql)) == exported.rows
    assert len(rows_of(tmp_path / "x.csv")) == exported.rows + 1 > 1


async def test_the_wrapper_cannot_be_escaped_even_by_a_superuser(
    postgres_database: PostgresDatabase, tmp_path: Path
) -> None:
    from deepanalyze.datasources.connectors.postgresql.export import copy_statement
    from deepanalyze.errors import DeepAnalyzeError

    async with postgres(superuser_config(postgres_database)) as connector:
        with pytest.raises((QueryFailed, ReadOnlyViolation)):
            await connector.export(tmp_path / "x.csv", query=ESCAPE)
        with pytest.raises((QueryFailed, ReadOnlyViolation)):
            await connector.query(ESCAPE)
        # Also without the guard: the extended protocol takes one statement.
        text = copy_statement(ESCAPE, [("a", 23, -1)], 10)
        with pytest.raises(DeepAnalyzeError):
            async with connector._session.reading() as lease:
                await lease.in_thread(lambda wire: wire.copy_out(text, 10, lambda piece, rows: None))
    assert list(tmp_path.iterdir()) == []
    assert run_sql(postgres_database.admin_dsn, "SELECT to_regclass('pwn')") == [(None,)]


async def test_a_table_is_fetched_under_its_name(postgres_database: PostgresDatabase, tmp_path: Path) -> None:
    run_sql(
        postgres_database.admin_dsn,
        'CREATE TABLE "Weird Table" (a int, "b c" text); INSERT INTO "Weird Table" VALUES (1, \'x\')',
        "CREATE VIEW flights AS SELECT 7 AS n",
    )
    async with postgres(postgres_database.analyst_config) as connector:
        for table in ('"Weird Table"', 'public."Weird Table"'):
            (fetched,) = await fetch(
                connector, DataReference("pg", table=table), tmp_path / str(len(table)), limits=Limits()
            )
            assert (fetched.file, fetched.rows, fetched.path) == ("Weird Table.csv", 1, table)
        assert Path(await connector.fetch_data("Public.FLIGHTS", tmp_path)).read_text() == "n\n7\n"
        assert Path(await connector.fetch_data("SELECT 8 AS n", tmp_path)).name == "query.csv"
        with pytest.raises(AlreadyExists):
            await connector.fetch_data("SELECT 9 AS n", tmp_path)
        (named,) = await fetch(
            connector,
            DataReference("pg", query="SELECT 1 AS n", save_as="../my result"),
            tmp_path,
            limits=Limits(),
        )
        assert named.file == "_2e_2e/my result.csv"
        with pytest.raises(NotSupported):
            await fetch(connector, DataReference("pg", path="flights"), tmp_path, limits=Limits())
        with pytest.raises(TableNotFound, match=r"did you mean public\.flights"):
            await connector.export(tmp_path / "y.csv", table="fligths")
        with pytest.raises(InvalidRequest):
            await connector.export(tmp_path / "y.csv", table="flights; DROP TABLE flights")
        with pytest.raises(InvalidRequest, match="no columns"):
            await connector.query("SELECT FROM flights")


@pytest.mark.requirement("2.3")
async def test_a_query_gives_a_frame_with_the_right_types(postgres_database: PostgresDatabase) -> None:
    sql = """
    SELECT * FROM (VALUES
      (1::int8, 1::int2, 1.5::float4, 1.25::numeric, true, 'a', date '2013-01-01', timestamp '2013-01-01 10:00',
       timestamptz '2013-01-01 10:00+02', interval '90 minutes', 9007199254740993::numeric, true, date '2013-01-01'),
      (2, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'infinity')
    ) AS t (i, n_i, f, num, b, s, d, ts, tz, span, big, n_b, far)
    """
    async with postgres(postgres_database.analyst_config) as connector:
        frame = await connector.query(sql)
        empty = await connector.query(f"SELECT * FROM ({sql}) q WHERE false")
    kinds: dict[str, Any] = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert kinds["i"] == "int64"
    assert kinds["n_i"] == "Int64"
    assert kinds["f"] == kinds["num"] == "float64"
    assert (kinds["b"], kinds["n_b"]) == ("bool", "boolean")
    assert kinds["d"].startswith("datetime64[")
    assert kinds["ts"].startswith("datetime64[")
    assert kinds["tz"].endswith("UTC]")
    assert kinds["span"].startswith("timedelta64[")
    assert int(frame["big"][0]) == 9007199254740993
    assert frame["far"][1] == "infinity"
    assert frame["tz"][0] == pd.Timestamp("2013-01-01 08:00", tz="UTC")
    assert list(empty.columns) == list(frame.columns)
    assert (len(empty), str(empty["i"].dtype), empty.attrs["truncated"]) == (0, "int64", False)


async def test_the_export_holds_no_loop_up(postgres_database: PostgresDatabase, tmp_path: Path) -> None:
    """The rows are moved beside the loop: it goes on turning meanwhile."""
    import asyncio

    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with postgres(postgres_database.analyst_config) as connector:
        turning = asyncio.create_task(turn())
        sql = "SELECT md5(n::text) FROM generate_series(1, 100000) n"
        await connector.export(tmp_path / "x.csv", query=sql, max_rows=100_000)
        turning.cancel()
    assert turns > 100
