"""Whatever a column holds comes back from the file as psycopg reads it from the server."""

from __future__ import annotations

import datetime as dt
import math
import random
import struct
from collections.abc import AsyncIterator, Sequence
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.json import Jsonb
from psycopg.types.range import Range

from deepanalyze.datasources import PostgreSQLConnector
from tests.support.postgres_sources import postgres
from tests.support.services import PostgresDatabase

UTC = dt.UTC
WIDE = Context(prec=200)


def numerics(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    limit = 10**precision - 1
    return st.integers(-limit, limit).map(lambda n: Decimal(n).scaleb(-scale, context=WIDE))


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20) | st.sampled_from(
    ["", "NULL", "\\.", '"', "\r\n", "\ufeff", "{}", "\\", ","]
)
DAYS = st.dates()
MOMENTS = st.datetimes(timezones=st.just(UTC))
COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int2": st.integers(-(2**15), 2**15 - 1),
    "int4": st.integers(-(2**31), 2**31 - 1),
    "int8": st.integers(-(2**63), 2**63 - 1),
    "oid": st.integers(0, 2**32 - 1),
    "float4": st.floats(width=32),
    "float8": st.floats(),
    "numeric(12,2)": numerics(12, 2),
    "numeric(38,10)": numerics(38, 10),
    "numeric(76,20)": numerics(76, 20),
    "numeric(4,-3)": st.integers(-9999, 9999).map(lambda n: Decimal(n * 1000)),
    "numeric(3,7)": numerics(3, 7),
    "numeric": numerics(40, 25) | numerics(9, 0) | numerics(3, 50),
    "text": TEXTS,
    "varchar(30)": TEXTS,
    "name": st.text("abc ä\"'\\,", max_size=20),
    "date": DAYS,
    "time": st.times(),
    "timestamp": st.datetimes(),
    "timestamptz": MOMENTS,
    "timetz": st.times(timezones=st.just(UTC)),
    "interval": st.timedeltas(dt.timedelta(days=-9999), dt.timedelta(days=9999)),
    "bytea": st.binary(max_size=40),
    "uuid": st.uuids(),
    "jsonb": st.recursive(
        st.none() | st.booleans() | st.integers(-99, 99) | TEXTS.filter(lambda t: "\ud800" not in t),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=5,
    ).map(Jsonb),
    "int4range": st.tuples(st.integers(-9, 9), st.integers(10, 19)).map(lambda ends: Range(*ends)),
    "text[]": st.lists(TEXTS | st.none(), max_size=4),
    "int8[]": st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), max_size=4),
    "float8[]": st.lists(st.floats() | st.none(), max_size=4),
    "numeric(12,2)[]": st.lists(numerics(12, 2) | st.none(), max_size=4),
    "bool[]": st.lists(st.booleans() | st.none(), max_size=4),
    "date[]": st.lists(DAYS | st.none(), max_size=4),
    "time[]": st.lists(st.times() | st.none(), max_size=4),
    "timestamp[]": st.lists(st.datetimes() | st.none(), max_size=4),
    "timestamptz[]": st.lists(MOMENTS | st.none(), max_size=4),
    "bytea[]": st.lists(st.binary(max_size=9) | st.none(), max_size=4),
    "uuid[]": st.lists(st.uuids() | st.none(), max_size=4),
}
AS_TEXT = frozenset({"timetz", "interval", "uuid", "jsonb", "int4range", "uuid[]"})
NAMES = [f"c{number}" for number in range(len(COLUMNS))]
ROWS = st.lists(st.tuples(*(st.none() | values for values in COLUMNS.values())), max_size=6)


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, float) and isinstance(found, float):
        return (math.isnan(found) and math.isnan(expected)) or struct.pack("d", found) == struct.pack(
            "d", expected
        )
    if isinstance(expected, list) and isinstance(found, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return type(found) is type(expected) and bool(found == expected)


def create(dsn: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(dsn, autocommit=True)
    connection.execute("SET TimeZone = 'UTC'")
    columns = ", ".join(f"{name} {type_}" for name, type_ in zip(NAMES, COLUMNS, strict=True))
    connection.execute(f"CREATE TABLE wide (n serial, {columns})".encode())
    return connection


def fill(connection: psycopg.Connection[Any], rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """What psycopg reads of them, texts where the file has texts."""
    connection.execute("TRUNCATE wide")
    statement = sql.SQL("INSERT INTO wide ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, NAMES)),
        sql.SQL(", ").join(sql.SQL("%s::") + sql.SQL(type_) for type_ in COLUMNS),
    )
    connection.cursor().executemany(statement, rows)
    chosen = ", ".join(
        f"{name}::text AS {name}"
        if type_ in AS_TEXT and "[]" not in type_
        else f"{name}::text[] AS {name}"
        if type_ in AS_TEXT
        else name
        for name, type_ in zip(NAMES, COLUMNS, strict=True)
    )
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute(f"SELECT n, {chosen} FROM wide ORDER BY n".encode()).fetchall()


async def compare(
    connector: PostgreSQLConnector, directory: Path, expected: Sequence[dict[str, Any]], selected: str
) -> None:
    for format in ("parquet", "arrow"):
        path = directory / f"wide.{format}"
        path.unlink(missing_ok=True)
        await connector.export(
            path, query=f"SELECT {selected} FROM wide ORDER BY n", format=format, max_rows=100_000
        )
        table = (
            pq.read_table(path) if format == "parquet" else pa.ipc.open_stream(path.read_bytes()).read_all()
        )
        found = table.to_pylist()
        assert len(found) == len(expected)
        for row, wanted in zip(found, expected, strict=True):
            for name in table.column_names:
                value = wanted[name]
                if table.schema.field(name).type == pa.float32() and value is not None:
                    value = struct.unpack("f", struct.pack("f", value))[0]
                assert same(row[name], value), (name, row[name], value)


@pytest.fixture
async def wide(
    postgres_database: PostgresDatabase,
) -> AsyncIterator[tuple[PostgreSQLConnector, psycopg.Connection[Any]]]:
    with create(postgres_database.admin_dsn) as connection:
        async with postgres(postgres_database.analyst_config) as connector:
            yield connector, connection


Wide = tuple[PostgreSQLConnector, psycopg.Connection[Any]]
ANY_COLUMNS = st.lists(st.sampled_from(NAMES), min_size=1, unique=True)
EXAMPLES = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@given(rows=ROWS, selected=ANY_COLUMNS)
@EXAMPLES
async def test_whatever_is_in_a_column_comes_back(
    wide: Wide, tmp_path: Path, rows: Sequence[Sequence[Any]], selected: Sequence[str]
) -> None:
    """Columns in any order and choice, so that each stands first, last and alone."""
    connector, connection = wide
    await compare(connector, tmp_path, fill(connection, rows), ", ".join(selected))


@pytest.mark.long
@given(rows=ROWS, selected=ANY_COLUMNS)
@settings(EXAMPLES, max_examples=1000)
async def test_whatever_is_in_a_column_comes_back_however_often_it_is_tried(
    wide: Wide, tmp_path: Path, rows: Sequence[Sequence[Any]], selected: Sequence[str]
) -> None:
    connector, connection = wide
    await compare(connector, tmp_path, fill(connection, rows), ", ".join(selected))


async def test_a_wide_table_of_many_chunks_comes_back(wide: Wide, tmp_path: Path) -> None:
    connector, connection = wide
    await compare(connector, tmp_path, fill(connection, many_rows(random.Random(7), 8_000)), "*")


def many_rows(chance: random.Random, number: int) -> list[tuple[Any, ...]]:
    """Of every column's values a few, in ever new combinations."""
    pools = [[None, *draw(values)] for values in COLUMNS.values()]
    return [tuple(map(chance.choice, pools)) for _ in range(number)]


def draw(values: st.SearchStrategy[Any]) -> list[Any]:
    drawn: list[Any] = []

    @settings(max_examples=40, database=None, derandomize=True)
    @given(values)
    def collect(value: Any) -> None:
        drawn.append(value)

    collect()
    return drawn
