"""What arrives in a Parquet file or an Arrow stream is what the database holds, or is refused by name."""

from __future__ import annotations

import contextlib
import datetime as dt
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import duckdb
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deepanalyze.datasources import (
    DeepAnalyzeError,
    InvalidRequest,
    Limits,
    PostgreSQLConnector,
    Progress,
    QueryFailed,
    ResultTooLarge,
)
from deepanalyze.datasources.connectors.postgresql.dtypes import pandas_dtype
from deepanalyze.datasources.connectors.postgresql.parquet import CHUNK_BYTES, write_parquet
from deepanalyze.datasources.connectors.postgresql.wire import Interrupted, Wire
from tests.support.postgres_sources import defaults, postgres, run_sql
from tests.support.services import PostgresDatabase

Format = Literal["parquet", "arrow"]
FORMATS: tuple[Format, ...] = ("parquet", "arrow")
UTC = dt.UTC
MANY = 10_000_000


def read(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pq.read_table(path)
    with path.open("rb") as file, pa.ipc.open_stream(file) as stream:
        return stream.read_all()


async def saved(
    connector: PostgreSQLConnector, directory: Path, sql: str, format: Format = "parquet", **options: Any
) -> pa.Table:
    path = directory / f"result.{format}"
    path.unlink(missing_ok=True)
    exported = await connector.export(path, query=sql, format=format, **{"max_rows": MANY, **options})
    assert exported.bytes == path.stat().st_size
    table = read(path)
    assert exported.rows == table.num_rows
    assert [column.name for column in exported.columns] == table.column_names
    return table


TYPES: tuple[tuple[str, str, Any], ...] = (
    ("true", "bool", True),
    ("(-32768)::int2", "int16", -32768),
    ("2147483647", "int32", 2147483647),
    ("(-9223372036854775808)::int8", "int64", -9223372036854775808),
    ("4294967295::oid", "int64", 4294967295),
    ("1.5::float4", "float", 1.5),
    ("0.1::float8", "double", 0.1),
    ("'-Infinity'::float8", "double", float("-inf")),
    ("1.50::numeric(12,2)", "decimal128(12, 2)", Decimal("1.50")),
    ("(10::numeric ^ 37)::numeric(38)", "decimal128(38, 0)", 10**37),
    ("1.5::numeric(50,10)", "decimal256(50, 10)", Decimal("1.5")),
    ("1.5::numeric(100,10)", "string", "1.5000000000"),
    ("12345::numeric(3,-2)", "decimal128(5, 0)", 12300),
    ("0.00012::numeric(3,5)", "decimal128(5, 5)", Decimal("0.00012")),
    ("'a'::text", "string", "a"),
    ("'a'::varchar(3)", "string", "a"),
    ("'a'::char(3)", "string", "a  "),
    ("'a'::name", "string", "a"),
    ("date '0001-01-01'", "date32[day]", dt.date(1, 1, 1)),
    ("date '9999-12-31'", "date32[day]", dt.date(9999, 12, 31)),
    (
        "timestamp '2020-01-02 03:04:05.5'",
        "timestamp[us]",
        dt.datetime.fromisoformat("2020-01-02 03:04:05.500"),
    ),
    (
        "timestamptz '2020-01-02 03:04:05.000001+05:30'",
        "timestamp[us, tz=UTC]",
        dt.datetime(2020, 1, 1, 21, 34, 5, 1, UTC),
    ),
    ("time '23:59:59.999999'", "time64[us]", dt.time(23, 59, 59, 999999)),
    ("timetz '01:02:03+02'", "string", "01:02:03+02"),
    ("interval '1 day 2 seconds'", "string", "1 day 00:00:02"),
    ("int4range(1, 5)", "string", "[1,5)"),
    ("inet '10.0.0.1'", "string", "10.0.0.1"),
    ("to_tsvector('simple', 'a b')", "string", "'a':1 'b':2"),
    ("point '(1,2)'", "string", "(1,2)"),
    (
        "uuid '00112233-4455-6677-8899-aabbccddeeff'",
        "string",
        "00112233-4455-6677-8899-aabbccddeeff",
    ),
    ("json '{\"a\" : 1}'", "string", '{"a" : 1}'),
    ("jsonb '{\"a\" : 1}'", "string", '{"a": 1}'),
    ("'\\x00ff'::bytea", "binary", b"\x00\xff"),
    ("''::bytea", "binary", b""),
    ("ARRAY[1, NULL, 3]", "list<element: int32>", [1, None, 3]),
    ("'{}'::int[]", "list<element: int32>", []),
    ("ARRAY[true, NULL]", "list<element: bool>", [True, None]),
    ("ARRAY[1.5]::numeric(5,2)[]", "list<element: decimal128(5, 2)>", [Decimal("1.5")]),
    ("ARRAY[1.5, 'NaN']::numeric[]", "list<element: string>", ["1.5", "NaN"]),
    ("ARRAY['Infinity', 0.1]::float8[]", "list<element: double>", [float("inf"), 0.1]),
    ("ARRAY[date '2020-01-01', NULL]", "list<element: date32[day]>", [dt.date(2020, 1, 1), None]),
    ("ARRAY[time '01:02', NULL]", "list<element: time64[us]>", [dt.time(1, 2), None]),
    (
        "ARRAY[timestamp '2020-01-01 00:00:01', NULL]",
        "list<element: timestamp[us]>",
        [dt.datetime.fromisoformat("2020-01-01 00:00:01"), None],
    ),
    (
        "ARRAY[timestamptz '2020-01-01 00:00:01+02']",
        "list<element: timestamp[us, tz=UTC]>",
        [dt.datetime(2019, 12, 31, 22, 0, 1, tzinfo=UTC)],
    ),
    ("ARRAY['\\x00ff'::bytea, '', NULL]", "list<element: binary>", [b"\x00\xff", b"", None]),
    ("ARRAY['a', 'b c']", "list<element: string>", ["a", "b c"]),
    (
        "ARRAY['a,b', 'NULL', NULL, '', '\"', '\\', '{', E'\\n']",
        "list<element: string>",
        ["a,b", "NULL", None, "", '"', "\\", "{", "\n"],
    ),
    ("ARRAY[box '(1,1),(0,0)']", "string", "{(1,1),(0,0)}"),  # whose elements a semicolon parts
)


@pytest.mark.parametrize("format", FORMATS)
async def test_every_type_has_its_arrow_type_and_keeps_its_value(
    postgres_database: PostgresDatabase, tmp_path: Path, format: Format
) -> None:
    chosen = ", ".join(f"{value} AS c{number}" for number, (value, _, _) in enumerate(TYPES))
    sql = f"SELECT {chosen}"
    async with postgres(postgres_database.analyst_config) as connector:
        table = await saved(connector, tmp_path, sql, format)
        nulls = ", ".join(f"CASE WHEN false THEN c{n} END AS c{n}" for n in range(len(TYPES)))
        absent = await saved(connector, tmp_path, f"SELECT {nulls} FROM ({sql}) AS q", format)
        names = await connector.export(tmp_path / "names.csv", query=sql)
    (row,) = table.to_pylist()
    for number, (value, type_, expected) in enumerate(TYPES):
        found = row[f"c{number}"]
        assert (value, str(table.schema.field(number).type)) == (value, type_)
        assert (value, found) == (value, expected)
        assert type(found) is type(expected) or isinstance(found, Decimal)
    told = [field.metadata[b"postgresql_type"].decode() for field in table.schema]
    assert told == [column.type for column in names.columns]
    assert set(absent.to_pylist()[0].values()) == {None}
    assert {str(f.type) for f in absent.schema} <= {type_ for _, type_, _ in TYPES} | {"decimal128(18, 0)"}


@pytest.mark.parametrize("format", FORMATS)
async def test_enums_and_domains_are_told_from_the_catalogue(
    postgres_database: PostgresDatabase, tmp_path: Path, format: Format
) -> None:
    run_sql(
        postgres_database.admin_dsn,
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'a \"happy\", one', 'never')",
        "CREATE DOMAIN cents AS numeric(12,2) CHECK (VALUE >= 0)",
        "CREATE TYPE pair AS (a int, b text)",
        "CREATE TABLE t (m mood, ms mood[], c cents, cs cents[], p pair)",
        """INSERT INTO t VALUES ('ok', '{sad,"a \\"happy\\", one"}', 1, '{1.5}', (1, 'x')),
           ('sad', NULL, NULL, '{}', NULL), (NULL, '{}', 0, NULL, NULL),
           ('a "happy", one', '{NULL}', 2, '{2}', NULL)""",
    )
    async with postgres(postgres_database.analyst_config) as connector:
        table = await saved(connector, tmp_path, "SELECT * FROM t", format)
    assert table["m"].to_pylist() == ["ok", "sad", None, 'a "happy", one']
    assert table["ms"].to_pylist() == [["sad", 'a "happy", one'], None, [], [None]]
    assert (str(table.schema.field("c").type), table["c"].to_pylist()[0]) == ("decimal128(12, 2)", Decimal(1))
    assert table["cs"].to_pylist() == [["1.50"], [], None, ["2.00"]]
    assert table["p"].to_pylist() == ["(1,x)", None, None, None]
    moods = table.to_pandas()["m"]
    assert moods.cat.ordered
    assert list(moods.cat.categories) == ["sad", "ok", 'a "happy", one', "never"]


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns"])
async def test_the_sessions_time_zone_changes_no_moment(
    postgres_database: PostgresDatabase, tmp_path: Path, zone: str
) -> None:
    with psycopg.connect(postgres_database.admin_dsn, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {postgres_database.name} SET TimeZone = '{zone}'".encode())
    sql = "SELECT t AS one, ARRAY[t, NULL] AS several, t::text AS told FROM (VALUES (timestamptz '2020-07-01Z')) q (t)"
    async with postgres(postgres_database.analyst_config) as connector:
        (row,) = (await saved(connector, tmp_path, sql)).to_pylist()
    moment = dt.datetime(2020, 7, 1, tzinfo=UTC)
    assert (row["one"], row["several"]) == (moment, [moment, None])
    assert "00:00:00+00" not in row["told"]  # the user's own text is in the zone that the server chose


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("date 'infinity'", "infinity"),
        ("date '0044-03-15 BC'", "0044-03-15 BC"),
        ("date '10000-01-01'", "10000-01-01"),
        ("timestamp '-infinity'", "-infinity"),
        ("timestamp '0044-03-15 00:00:00 BC'", "0044-03-15 00:00:00 BC"),
        ("timestamptz 'infinity'", "infinity"),
        ("timestamptz '12000-01-01 00:00:00Z'", "12000-01-01 00:00:00"),
        ("time '24:00:00'", "24:00:00"),
        ("'NaN'::numeric(12,2)", "NaN"),
        ("'NaN'::numeric(50,2)", "NaN"),
        ("ARRAY[date 'infinity']", "infinity"),
        ("ARRAY[time '24:00:00']", "24:00:00"),
        ("ARRAY[timestamptz '-infinity']", "-infinity"),
        ("ARRAY[[1, 2], [3, 4]]", "{{1,2},{3,4}}"),
        ("'[0:1]={1,2}'::int[]", "[0:1]={1,2}"),
    ],
)
async def test_what_a_type_cannot_hold_is_refused_by_column_and_value(
    postgres_database: PostgresDatabase, tmp_path: Path, value: str, shown: str, format: Format
) -> None:
    sql = f"SELECT n, (SELECT {value} WHERE n = 3) AS odd FROM generate_series(1, 5) n"
    async with postgres(postgres_database.analyst_config) as connector:
        with pytest.raises(InvalidRequest) as refused:
            await connector.export(tmp_path / "x", query=sql, format=format)
        assert list(tmp_path.iterdir()) == []
        (told,) = (await saved(connector, tmp_path, f"SELECT ({value})::text AS odd")).to_pylist()
    assert "column 'odd' (" in refused.value.message
    assert repr(shown) in refused.value.message
    assert "cast the column to text, or choose csv" in refused.value.message
    assert refused.value.param == "format"
    assert shown in told["odd"]


@pytest.mark.parametrize("format", FORMATS)
async def test_numerics_without_declared_digits_become_decimals_that_hold_them_all(
    postgres_database: PostgresDatabase, tmp_path: Path, format: Format
) -> None:
    sql = """
    SELECT sum(n) OVER () AS total, avg(n) OVER (ORDER BY n) AS mean, n::numeric / 7 AS seventh, -n * 1.5 AS minus,
           CASE n WHEN 2 THEN 'NaN'::numeric WHEN 3 THEN '-Infinity' ELSE n END AS odd, 10::numeric ^ 40 + n AS large,
           CASE WHEN n = 1 THEN 10::numeric ^ 80 ELSE 0.1 END AS larger, NULL::numeric AS absent, n AS plain,
           -999999999999999999 - n + n AS longest
    FROM generate_series(1::numeric, 9) n ORDER BY n
    """
    async with postgres(postgres_database.analyst_config) as connector:
        table = await saved(connector, tmp_path, sql, format)
        empty = await saved(connector, tmp_path, f"SELECT * FROM ({sql}) q WHERE false", format)
    with psycopg.connect(postgres_database.admin_dsn) as connection:
        cursor = connection.execute(sql.encode())
        names = [column.name for column in cursor.description or ()]
        expected = [dict(zip(names, row, strict=True)) for row in cursor]
    found = table.to_pylist()
    for name in names:
        if name not in ("odd", "larger"):
            assert [row[name] for row in found] == [row[name] for row in expected]
    types = {field.name: str(field.type) for field in table.schema}
    assert types["total"] == types["longest"] == "decimal128(18, 0)"
    assert types["seventh"].startswith("decimal128(")
    assert types["large"].startswith("decimal256(76, ")
    assert [Decimal(row["larger"]) for row in found] == [row["larger"] for row in expected]
    assert [row["odd"] for row in found][:4] == ["1", "NaN", "-Infinity", "4"]
    assert b"NaN or Infinity" in table.schema.field("odd").metadata[b"stored_as_text"]
    assert b"more digits" in table.schema.field("larger").metadata[b"stored_as_text"]
    assert b"stored_as_text" not in table.schema.field("total").metadata
    assert (empty.num_rows, empty.column_names) == (0, table.column_names)


@pytest.mark.parametrize("format", FORMATS)
async def test_null_and_the_empty_text_stay_apart_in_a_column_alone_and_beside_others(
    postgres_database: PostgresDatabase, tmp_path: Path, format: Format
) -> None:
    values = "(VALUES (1, NULL), (2, ''), (3, NULL), (4, 'NULL'), (5, ' '), (6, NULL)) AS v (n, t) ORDER BY n"
    async with postgres(postgres_database.analyst_config) as connector:
        alone = await saved(connector, tmp_path, f"SELECT t FROM {values}", format)
        beside = await saved(connector, tmp_path, f"SELECT t, n, t AS again FROM {values}", format)
        only_nulls = await saved(connector, tmp_path, "SELECT NULL::int FROM generate_series(1, 3)", format)
    assert alone["t"].to_pylist() == [None, "", None, "NULL", " ", None]
    assert beside["t"].to_pylist() == beside["again"].to_pylist() == alone["t"].to_pylist()
    assert only_nulls.column(0).to_pylist() == [None, None, None]


@pytest.mark.parametrize("format", FORMATS)
async def test_texts_survive_whatever_they_hold(
    postgres_database: PostgresDatabase, tmp_path: Path, format: Format
) -> None:
    """Among them rows larger than a chunk, and a byte order mark where a chunk begins."""
    texts = [
        'a,"b"',
        "one\ntwo\r\nthree\r",
        "\\.",
        "\ufeffmark",
        "\ufeff\ufeff",
        "'",
        "é漢🙂\u2028",
        "\x01\x7f",
        "  ",
    ]
    long = ["x" * (CHUNK_BYTES + 1), '"\r\n' * 500_000, "\ufeff" + "y" * 1_000_000, "漢" * (CHUNK_BYTES // 2)]
    texts = [text for pair in zip(long, texts, strict=False) for text in pair] + texts + ["\ufeff"] * 3
    with psycopg.connect(postgres_database.admin_dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE texts (t text, b bytea, n serial)")
        connection.cursor().executemany(
            "INSERT INTO texts VALUES (%s, %s)", [(text, text.encode()) for text in texts]
        )
    async with postgres(postgres_database.analyst_config) as connector:
        table = await saved(connector, tmp_path, "SELECT t, b FROM texts ORDER BY n", format)
        alone = await saved(connector, tmp_path, "SELECT t FROM texts ORDER BY n", format)
    assert table["t"].to_pylist() == alone["t"].to_pylist() == texts
    assert table["b"].to_pylist() == [text.encode() for text in texts]


async def test_many_rows_arrive_in_order_with_progress(
    postgres_database: PostgresDatabase, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    sql = "SELECT n, md5(n::text) AS h, n % 3 = 0 AS third FROM generate_series(1, 400000) n ORDER BY n"
    async with postgres(postgres_database.analyst_config) as connector:
        table = await saved(connector, tmp_path, sql, on_progress=seen.append)
    assert table["n"].to_pylist() == list(range(1, 400_001))
    assert table["third"].to_pylist() == [n % 3 == 0 for n in range(1, 400_001)]
    assert pq.ParquetFile(tmp_path / "result.parquet").num_row_groups > 3
    assert seen[-1] == Progress(bytes=(tmp_path / "result.parquet").stat().st_size, rows=400_000)
    assert [(p.rows, p.bytes) for p in seen] == sorted((p.rows, p.bytes) for p in seen)


@pytest.mark.requirement("10.2")
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("limit", "rows", "truncated"), [(9, 9, True), (10, 10, False), (11, 10, False), (1, 1, True)]
)
async def test_more_rows_than_allowed_are_cut_and_told(
    postgres_database: PostgresDatabase,
    tmp_path: Path,
    limit: int,
    rows: int,
    truncated: bool,
    format: Format,
) -> None:
    path = tmp_path / f"x.{format}"
    for sql in (
        "SELECT n FROM generate_series(1, 10) n ORDER BY n DESC",
        "SELECT n::numeric FROM generate_series(1, 10) n ORDER BY n DESC",
    ):
        async with postgres(postgres_database.analyst_config) as connector:
            exported = await connector.export(path, query=sql, format=format, max_rows=limit)
        assert (exported.rows, exported.truncated) == (rows, truncated)
        assert [int(n) for n in read(path)["n"].to_pylist()] == list(range(10, 10 - rows, -1))
        path.unlink()


@pytest.mark.parametrize("format", FORMATS)
async def test_a_result_without_rows_is_a_file_with_its_schema(
    postgres_database: PostgresDatabase, tmp_path: Path, format: Format
) -> None:
    sql = 'SELECT 1 AS a, 2.5 AS a, \'x\' AS "Größe, ""in""", ARRAY[1] AS l WHERE false'
    async with postgres(postgres_database.analyst_config) as connector:
        table = await saved(connector, tmp_path, sql, format)
    assert table.num_rows == 0
    assert table.column_names == ["a", "a_2", 'Größe, "in"', "l"]
    assert str(table.schema.field("l").type) == "list<element: int32>"
    assert table.schema.metadata[b"sql"].decode() == sql
    assert table.schema.metadata[b"source"] == b"pg"


@pytest.mark.parametrize(
    ("sql", "format"),
    [
        ("SELECT repeat('x', 1000) FROM generate_series(1, 9999)", "parquet"),
        ("SELECT 1.5 * n, repeat('x', 1000) FROM generate_series(1, 9999) n", "parquet"),
        ("SELECT 1::int8 FROM generate_series(1, 40000)", "arrow"),  # the server sends two bytes for eight
        ("SELECT 1::numeric FROM generate_series(1, 40000)", "arrow"),
    ],
)
async def test_a_result_over_its_byte_limit_leaves_no_file(
    postgres_database: PostgresDatabase, tmp_path: Path, sql: str, format: Format
) -> None:
    small = defaults(limits=Limits(max_result_bytes=100_000))
    async with postgres(postgres_database.analyst_config, small) as connector:
        with pytest.raises(ResultTooLarge, match="100000 bytes"):
            await connector.export(tmp_path / "x", query=sql, format=format, max_rows=50_000)
        assert list(tmp_path.iterdir()) == []
        await connector.export(tmp_path / "x", query="SELECT 1", format=format)


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT 1 / (300000 - n) AS x, md5(n::text) FROM generate_series(1, 400000) n", QueryFailed),
        (
            "SELECT CASE WHEN n = 300000 THEN date 'infinity' END AS d, md5(n::text) FROM generate_series(1, 400000) n",
            InvalidRequest,
        ),
    ],
)
async def test_an_error_of_either_side_in_the_middle_ends_both_and_leaves_nothing(
    postgres_database: PostgresDatabase, tmp_path: Path, sql: str, error: type[DeepAnalyzeError]
) -> None:
    async with postgres(postgres_database.analyst_config) as connector:
        for selected in (sql, f"SELECT *, x.n * 1.5 AS loose FROM ({sql}) q, (VALUES (1)) x (n)"):
            with pytest.raises(error):
                await connector.export(tmp_path / "x", query=selected, format="parquet", max_rows=MANY)
            assert list(tmp_path.iterdir()) == []
            assert not converting()
        assert (await saved(connector, tmp_path, "SELECT 1 AS n"))["n"].to_pylist() == [1]


def converting() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("arrow")]


@pytest.mark.parametrize("columns", ["n, md5(n::text)", "n, n * 1.5, md5(n::text)"])
async def test_who_cancels_gets_neither_file_nor_thread(
    postgres_database: PostgresDatabase, tmp_path: Path, columns: str
) -> None:
    import asyncio

    loop = asyncio.get_running_loop()
    under_way = asyncio.Event()

    def on_progress(progress: Progress) -> None:
        if progress.rows > 10_000:
            loop.call_soon_threadsafe(under_way.set)

    sql = f"SELECT {columns} FROM generate_series(1, 100000000) n"
    async with postgres(postgres_database.analyst_config) as connector:
        exporting = asyncio.create_task(
            connector.export(
                tmp_path / "x", query=sql, format="parquet", max_rows=1_000_000_000, on_progress=on_progress
            )
        )
        await under_way.wait()
        assert converting()
        exporting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exporting
        assert not converting()
        assert list(tmp_path.iterdir()) == []
        assert (await saved(connector, tmp_path, "SELECT 1 AS n"))["n"].to_pylist() == [1]


def test_an_interrupt_ends_the_second_pass_too(postgres_database: PostgresDatabase, tmp_path: Path) -> None:
    sql = "SELECT n * 1.5 AS loose FROM generate_series(1, 100) n"  # so few that all have come at the first report

    def work(wire: Wire) -> None:
        columns = wire.describe(sql)
        destination = tmp_path / "x.parquet"
        limits = {"max_rows": 1000, "max_bytes": 10**9}
        write_parquet(wire, sql, columns, destination, **limits, on_progress=lambda _: wire.interrupt())

    connecting = contextlib.closing(psycopg.connect(postgres_database.admin_dsn, autocommit=True))
    with connecting as connection, pytest.raises(Interrupted):
        Wire(connection.pgconn, time.monotonic() + 60).run(work)
    assert list(tmp_path.iterdir()) == []
    assert not converting()


async def test_explain_and_show_are_texts(postgres_database: PostgresDatabase, tmp_path: Path) -> None:
    async with postgres(postgres_database.analyst_config) as connector:
        plan = await saved(connector, tmp_path, "EXPLAIN VERBOSE SELECT 'a\"b'")
        version = await saved(connector, tmp_path, "SHOW server_version")
    assert [line.split()[0] for line in plan.column(0).to_pylist()] == ["Result", "Output:"]
    assert "'a\"b'" in plan.column(0).to_pylist()[1]
    assert version["server_version"].to_pylist()[0][:1].isdigit()


async def test_pandas_and_duckdb_read_the_values(postgres_database: PostgresDatabase, tmp_path: Path) -> None:
    sql = """
    SELECT 1.10::numeric(12,2) AS price, timestamptz '2020-01-01 00:00Z' AS at, ARRAY['a', NULL] AS tags,
           '\\x01'::bytea AS raw, sum(0.5) AS total, 9007199254740993 AS big
    """
    async with postgres(postgres_database.analyst_config) as connector:
        await saved(connector, tmp_path, sql)
    path = tmp_path / "result.parquet"
    frame = pd.read_parquet(path)
    assert (frame["price"][0], frame["total"][0], frame["big"][0]) == (
        Decimal("1.10"),
        Decimal("0.5"),
        9007199254740993,
    )
    assert str(frame["at"].dtype) == "datetime64[us, UTC]"
    assert list(frame["tags"][0]) == ["a", None]
    with duckdb.connect() as database:
        row = database.execute(
            'SELECT price, epoch("at"), tags, raw, total, big FROM read_parquet(?)', [str(path)]
        ).fetchone()
    assert row == (Decimal("1.10"), 1577836800.0, ["a", None], b"\x01", Decimal("0.5"), 9007199254740993)


async def test_the_dtype_that_is_told_is_the_one_that_a_frame_has(
    postgres_database: PostgresDatabase,
) -> None:
    values = {
        **dict.fromkeys(("int2", "int4", "int8", "oid", "float4", "float8"), "1"),
        **dict.fromkeys(("date", "timestamp", "timestamptz"), "2020-01-01 00:00:00.5"),
        "bool": "true",
        "interval": "1 second",
    }
    sql = " UNION ALL ".join(
        "SELECT " + ", ".join(f"{value}::{name} AS {name}" for name, value in row.items())
        for row in ({name: f"'{value}'" for name, value in values.items()}, dict.fromkeys(values, "NULL"))
    )
    oids = run_sql(
        postgres_database.admin_dsn, "SELECT typname::text, oid::int FROM pg_type WHERE typtype = 'b'"
    )
    async with postgres(postgres_database.analyst_config) as connector:
        frame = await connector.query(sql)
    known = dict(oids)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        name: pandas_dtype(known[name]) for name in values
    }
    assert [pandas_dtype(known[name]) for name in ("numeric", "text", "bytea")] == [
        "decimal",
        "string",
        "bytes",
    ]


def test_nobody_pays_for_arrow_who_does_not_use_it() -> None:
    check = (
        "import sys, deepanalyze.datasources.connectors.postgresql as p; sys.exit('pyarrow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60)
