"""Whatever a column holds is in the kernel what psycopg reads from the server, by way of CSV and of Parquet."""

from __future__ import annotations

import datetime as dt
import math
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.json import Jsonb
from psycopg.types.range import Range

from deepanalyze.access.bringing import fetch_into
from deepanalyze.datasources import DataReference
from deepanalyze.sandbox import KernelLimits
from tests.support.drawing import drawn
from tests.support.postgres_sources import postgres, superuser_config
from tests.support.sandbox import made_workspace, sandbox_or_skip, started_kernel
from tests.support.services import PostgresDatabase

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20) | st.sampled_from(
    ["", "NULL", "null", "\\.", '"', "\r\n", "\r", "\ufeff", "{}", "\\", ",", "nan", "007"]
)
NUMBERS = st.integers(-(10**11), 10**11).map(lambda n: Decimal(n).scaleb(-2))
COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "int2": st.integers(-(2**15), 2**15 - 1),
    "int4": st.integers(-(2**31), 2**31 - 1),
    "int8": st.integers(-(2**63), 2**63 - 1),
    "oid": st.integers(0, 2**32 - 1),
    "float4": st.floats(width=32)
    | st.just(math.nan),  # beside NULLs, which only a column with both keeps apart
    "float8": st.floats() | st.just(math.nan),
    "numeric(14,2)": NUMBERS,
    "numeric(50,2)": NUMBERS,
    "numeric": NUMBERS | st.just(Decimal("NaN")),
    "bool": st.booleans(),
    "text": TEXTS,
    "varchar(30)": TEXTS,
    "mood": st.sampled_from(["sad, really", "ok", ""]),
    "date": st.dates(),
    "time": st.times(),
    "timestamp": st.datetimes(),
    "timestamptz": st.datetimes(dt.datetime(2, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001 - gets its own
    "interval": st.timedeltas(dt.timedelta(days=-9999), dt.timedelta(days=9999)),
    "bytea": st.binary(max_size=40),
    "uuid": st.uuids(),
    "jsonb": st.dictionaries(TEXTS, TEXTS | st.none(), max_size=3).map(Jsonb),
    "int4range": st.tuples(st.integers(-9, 9), st.integers(10, 19)).map(lambda ends: Range(*ends)),
    "text[]": st.lists(TEXTS | st.none(), max_size=4),
    "int4[]": st.lists(st.integers(-9, 9) | st.none(), max_size=4),
    "float4[]": st.lists(st.floats(width=32, allow_nan=False) | st.none(), max_size=4),
    "numeric(14,2)[]": st.lists(NUMBERS | st.none(), max_size=4),
    "bool[]": st.lists(st.booleans() | st.none(), max_size=4),
    "date[]": st.lists(st.dates() | st.none(), max_size=4),
    "time[]": st.lists(st.times() | st.none(), max_size=4),
    "timestamp[]": st.lists(st.datetimes() | st.none(), max_size=4),
    "bytea[]": st.lists(st.binary(max_size=9) | st.none(), max_size=4),
    "uuid[]": st.lists(st.uuids() | st.none(), max_size=4),
}
# What `load` makes of a type, where psycopg makes something else of it: texts as the server writes them, and midnight.
MADE = dict.fromkeys(("mood", "time", "uuid", "jsonb", "int4range"), "text")
MADE |= {"time[]": "text[]", "uuid[]": "text[]", "date": "timestamp"}

COMPARE = """
import math, pickle
import pandas as pd
from deepanalyze_kernel import load

def plain(value):
    if isinstance(value, list):
        return [plain(v) for v in value]
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    if hasattr(value, "to_pytimedelta"):
        return value.to_pytimedelta()
    value = value.item() if hasattr(value, "item") else value
    return "NaN" if value != value else value

expected = pickle.load(open("expected.pickle", "rb"))
for name in ("values.csv", "values.parquet"):
    frame = load(name)
    assert frame.shape == (len(expected["n"]), len(expected)), frame.shape
    for column, values in expected.items():
        found = [plain(value) for value in frame[column]]
        assert found == values, (name, column, frame[column].dtype,
                                 [(f, v) for f, v in zip(found, values) if f != v][:5])
print("all there")
"""


def made_rows(count: int) -> list[tuple[Any, ...]]:
    """The same in every run; the first is all NULL, so that every column has one."""
    columns = st.tuples(*(st.none() | values for values in COLUMNS.values()))
    return [(None,) * len(COLUMNS), *drawn(columns, count)]


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return [plain(element) for element in value]
    if isinstance(value, (float, Decimal)) and value != value:
        return "NaN"
    return value.replace(tzinfo=dt.UTC) if isinstance(value, dt.datetime) and value.tzinfo else value


def stored(dsn: str, rows: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Puts the rows into a table, and reads each column back."""
    names = ["n", *(f"c{number}" for number in range(len(COLUMNS)))]
    definitions = ", ".join(f"{name} {kind}" for name, kind in zip(names, ["int4", *COLUMNS], strict=True))
    chosen = [f"{name}::{MADE.get(kind, kind)}" for name, kind in zip(names, ["int4", *COLUMNS], strict=True)]
    with psycopg.connect(
        dsn, autocommit=True, options="-c TimeZone=UTC -c extra_float_digits=1"
    ) as connection:
        connection.execute("CREATE TYPE mood AS ENUM ('sad, really', 'ok', '')")
        connection.execute(sql.SQL(f"CREATE TABLE kept ({definitions})"))  # type: ignore[arg-type]
        placeholders = ", ".join(["%s", *(f"%s::{kind}" for kind in COLUMNS)])
        connection.cursor().executemany(
            sql.SQL(f"INSERT INTO kept VALUES ({placeholders})"),  # type: ignore[arg-type]
            [(number, *row) for number, row in enumerate(rows)],
        )
        found = connection.execute(
            sql.SQL(f"SELECT {', '.join(chosen)} FROM kept ORDER BY n")  # type: ignore[arg-type]
        ).fetchall()
    return {name: [plain(row[at]) for row in found] for at, name in enumerate(names)}


@pytest.mark.requirement("2.3")
async def test_every_value_of_every_type_comes_back(
    postgres_database: PostgresDatabase, tmp_path: Path
) -> None:
    expected = stored(postgres_database.admin_dsn, made_rows(120))
    sandbox = await sandbox_or_skip("bubblewrap", KernelLimits())
    with made_workspace(tmp_path) as workspace:
        async with postgres(superuser_config(postgres_database)) as connector:
            for format in ("csv", "parquet"):
                reference = DataReference(
                    "pg",
                    query="SELECT * FROM kept ORDER BY n",
                    format=format,  # type: ignore[arg-type]
                    save_as="values",
                )
                await fetch_into(connector, reference, workspace)
        handed = workspace.root / "expected.pickle"
        handed.write_bytes(pickle.dumps(expected))
        handed.chmod(0o644)
        async with started_kernel(sandbox, workspace) as kernel:
            result = await kernel.execute(COMPARE, timeout_s=120)
    assert (result.status, result.output.strip()) == ("ok", "all there"), result.output
