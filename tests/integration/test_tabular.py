"""First rows and statistics of files in every format, read by the real program in a process of its own."""

from __future__ import annotations

import asyncio
import datetime
import io
import json
import os
import signal
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepanalyze.datasources import Limits, SourceDefaults, Table, Timeouts
from deepanalyze.datasources.tabular.looking import HEAD_BYTES
from deepanalyze.errors import BlobNotFound, FileTooLarge, InvalidRequest, NotSupported, QueryTimeout
from tests.support.file_sources import PACKED, FolderSource, by_column
from tests.support.sandbox import processes_with

FRAME = pd.DataFrame(
    {
        "id": ["001", "002", "003", "004"],
        "units": [5, 7, 7, -1],
        "price": [0.5, None, 2.25, 1.25],
        "day": ["2024-01-02", "2024-01-03", None, "2024-02-29"],
    }
)
PRICE = {"type": "DOUBLE", "count": 3, "nulls": 1, "min": 0.5, "max": 2.25, "distinct": 3}
UNITS = {"type": "BIGINT", "count": 4, "nulls": 0, "min": -1, "max": 7, "mean": 4.5, "distinct": 3}
ROWS = [
    ["001", 5, 0.5, "2024-01-02"],
    ["002", 7, None, "2024-01-03"],
    ["003", 7, 2.25, None],
    ["004", -1, 1.25, "2024-02-29"],
]


def parquet() -> bytes:
    written = io.BytesIO()
    days = pd.to_datetime(FRAME["day"]).dt.date
    pq.write_table(pa.Table.from_pandas(FRAME.assign(day=days), preserve_index=False), written)
    return written.getvalue()


def excel() -> bytes:
    written = io.BytesIO()
    FRAME.assign(day=pd.to_datetime(FRAME["day"]).dt.date).to_excel(written, index=False)
    return written.getvalue()


FILES: Mapping[str, Callable[[], bytes]] = {
    "csv": lambda: FRAME.to_csv(index=False).encode(),
    "tsv": lambda: FRAME.to_csv(index=False, sep="\t").encode(),
    "json": lambda: FRAME.to_json(orient="records").encode(),
    "jsonl": lambda: FRAME.to_json(orient="records", lines=True).encode(),
    "parquet": parquet,
    "xlsx": excel,
}


@pytest.fixture
def source(tmp_path: Path) -> FolderSource:
    return FolderSource(tmp_path)


async def shown(source: FolderSource, content: bytes | str, name: str = "a.csv", limit: int = 10) -> Table:
    data = content.encode() if isinstance(content, str) else content
    await asyncio.to_thread((source.root / name).write_bytes, data)
    return await source.preview(name, limit=limit)


async def types(source: FolderSource, content: bytes | str, name: str = "a.csv") -> dict[str, str]:
    return {column.name: column.type for column in (await shown(source, content, name)).columns}


async def measured(source: FolderSource, content: bytes | str, name: str = "a.csv") -> dict[str, Any]:
    data = content.encode() if isinstance(content, str) else content
    await asyncio.to_thread((source.root / name).write_bytes, data)
    return by_column(await source.statistics(name))


@pytest.mark.requirement("8.3")
@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("format", FILES)
async def test_the_first_rows_of_every_format(source: FolderSource, format: str, packing: str) -> None:
    table = await shown(source, PACKED[packing](FILES[format]()), f"a.{format}{packing}", limit=3)
    assert [column.name for column in table.columns] == list(FRAME)
    assert [column.type for column in table.columns] == ["VARCHAR", "BIGINT", "DOUBLE", "DATE"]
    assert (table.rows, table.truncated) == (ROWS[:3], True)
    table = await source.preview(f"a.{format}{packing}", limit=4)
    assert (table.rows, table.truncated) == (ROWS, False)


@pytest.mark.requirement("8.4")
@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("format", FILES)
async def test_statistics_of_every_format(source: FolderSource, format: str, packing: str) -> None:
    await asyncio.to_thread(
        (source.root / f"a.{format}{packing}").write_bytes, PACKED[packing](FILES[format]())
    )
    found = await source.statistics(f"a.{format}{packing}")
    assert (found.row_count, found.estimated) == (4, False)
    columns = by_column(found)
    price, units = columns["price"], columns["units"]
    assert price.pop("mean") == pytest.approx(4 / 3)
    assert price.pop("stddev") == pytest.approx(FRAME["price"].std())
    assert price == PRICE
    assert units.pop("stddev") == pytest.approx(FRAME["units"].std())
    assert units == UNITS
    text = {"count": 4, "nulls": 0, "min": "001", "max": "004", "distinct": 4}
    assert columns["id"] == {"type": "VARCHAR", **text}
    days = {"count": 3, "nulls": 1, "min": "2024-01-02", "max": "2024-02-29", "distinct": 3}
    assert columns["day"] == {"type": "DATE", **days}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
async def test_encodings_of_text(source: FolderSource, encoding: str) -> None:
    table = await shown(source, "Größe;Ort\n1;Köln\n2;Orléans\n".encode(encoding))
    assert [column.name for column in table.columns] == ["Größe", "Ort"]
    assert table.rows == [[1, "Köln"], [2, "Orléans"]]


@pytest.mark.parametrize(
    ("content", "columns", "rows"),
    [
        ("a;b\n1;2\n", ["a", "b"], [[1, 2]]),
        ("a|b\n1|2\n", ["a", "b"], [[1, 2]]),
        ('a,b\r\n"x\r\ny","say ""hi"""\r\n', ["a", "b"], [["x\r\ny", 'say "hi"']]),
        ('"first\nname",b\nx,1\ny,2\n', ["first\nname", "b"], [["x", 1], ["y", 2]]),
        ("a,b\r1,2\r", ["a", "b"], [[1, 2]]),
        ("a,b\n1,2", ["a", "b"], [[1, 2]]),
        ("a,b,c\n1,2\n3,4,5,6\n", ["a", "b", "c", "column3"], [[1, 2, None, None], [3, 4, 5, 6]]),
        ("a,a,,A\n1,2,3,4\n", ["a", "a_1", "column2", "A"], [[1, 2, 3, 4]]),
        ("1,x\n2,y\n", ["column0", "column1"], [[1, "x"], [2, "y"]]),
        ("", [], []),
        ("\n\n", [], []),
        ("a,b\n", ["a", "b"], []),
        ("name\nada\n\nbob\n", ["name"], [["ada"], ["bob"]]),
        ("text\nhello, world\na;b|c\n", ["text"], [["hello, world"], ["a;b|c"]]),
        ("# by hand\na,b\n1,2\n3,4\n", ["a", "b"], [[1, 2], [3, 4]]),
        ('a,b\n,""\n', ["a", "b"], [[None, ""]]),
        ('a";--,b\n1,2\n', ['a";--', "b"], [[1, 2]]),
    ],
)
async def test_csv_as_people_write_it(
    source: FolderSource, content: str, columns: list[str], rows: list[list[Any]]
) -> None:
    table = await shown(source, content)
    assert [column.name for column in table.columns] == columns
    assert (table.rows, table.truncated) == (rows, False)
    assert (await source.statistics("a.csv")).row_count == len(rows)


@pytest.mark.parametrize(
    ("values", "type", "shown_as"),
    [
        (["1", "-2"], "BIGINT", [1, -2]),
        (["00123", "4"], "VARCHAR", ["00123", "4"]),
        (["1", "99999999999999999999"], "HUGEINT", [1, 99999999999999999999]),
        (["1", "2.50"], "DOUBLE", [1.0, 2.5]),
        (["1234567890.12345678901"], "DOUBLE", ["1234567890.12345678901"]),
        (["1e5", "-.5"], "DOUBLE", [100000.0, -0.5]),
        (["NaN", "1.5", "inf"], "DOUBLE", ["NaN", 1.5, "Infinity"]),
        (["1.234,56", "7,5"], "VARCHAR", ["1.234,56", "7,5"]),
        (["1,234", "5"], "VARCHAR", ["1,234", "5"]),
        (["1_000", "5"], "VARCHAR", ["1_000", "5"]),
        (["true", "False"], "BOOLEAN", [True, False]),
        (["2024-02-29"], "DATE", ["2024-02-29"]),
        (["2024-02-30"], "VARCHAR", ["2024-02-30"]),
        (["03/04/2024"], "VARCHAR", ["03/04/2024"]),
        (["2024-01-02 03:04:05.123456789"], "TIMESTAMP", ["2024-01-02 03:04:05.123456789"]),
        (["2024-01-02T03:04:05Z"], "TIMESTAMP WITH TIME ZONE", ["2024-01-02T03:04:05Z"]),
        (["10:30", "23:59:59"], "TIME", ["10:30", "23:59:59"]),
        (["1", "NA", "", "3"], "BIGINT", [1, None, None, 3]),
        (["DE", "NA", "-"], "VARCHAR", ["DE", "NA", "-"]),
        (["NA", "NA"], "VARCHAR", ["NA", "NA"]),
        (["=1+1", "x"], "VARCHAR", ["=1+1", "x"]),
    ],
)
async def test_types_are_taken_only_when_nothing_is_lost(
    source: FolderSource, values: list[str], type: str, shown_as: list[Any]
) -> None:
    table = await shown(source, "key;value\n" + "".join(f"k;{value}\n" for value in values))
    assert table.columns[1].type == type
    assert [row[1] for row in table.rows] == shown_as


async def test_a_type_has_to_fit_the_last_row_too(source: FolderSource) -> None:
    many = "a,b\n" + "1,1\n" * 50_000
    assert (await measured(source, f"{many}2.5,x\n"))["a"]["type"] == "DOUBLE"
    assert (await measured(source, f"{many}2.5,x\n"))["b"]["type"] == "VARCHAR"
    assert (await measured(source, "a,b\n" + ",1\n" * 5_000 + "2,1\n"))["a"]["type"] == "BIGINT"


async def test_numbers_at_the_edges_are_measured(source: FolderSource) -> None:
    found = await measured(source, "a,b,c\n1e300,NaN,0.10\n-1e300,1,1234567890.12345678901\n1,3,NA\n")
    assert found["a"]["stddev"] == pytest.approx(1e300)
    assert (found["b"]["mean"], found["b"]["max"], found["b"]["count"]) == (2.0, "NaN", 3)
    assert (found["c"]["min"], found["c"]["max"]) == (0.1, "1234567890.12345678901")
    assert (found["c"]["nulls"], found["c"]["distinct"]) == (1, 2)


@pytest.mark.parametrize(
    ("document", "columns", "rows"),
    [
        ('[{"a":1},{"a":2,"b":"x"}]', ["a", "b"], [[1, None], [2, "x"]]),
        ('{"a":1}\n{"b":[1,{"c":null}]}\n', ["a", "b"], [[1, None], [None, [1, {"c": None}]]]),
        ('{\n "a": 1\n}', ["a"], [[1]]),
        ('{"a":1}{"a":2}', ["a"], [[1], [2]]),
        ('{"a":[1,2],"b":["x",null]}', ["a", "b"], [[1, "x"], [2, None]]),
        ('{"a":{"0":1,"1":2},"b":{"0":"x","1":"y"}}', ["a", "b"], [[1, "x"], [2, "y"]]),
        ('{"r":{"a":1},"s":{"a":2}}', ["key", "a"], [["r", 1], ["s", 2]]),
        ('{"meta":{"n":2},"data":[{"a":1},{"a":2}]}', ["a"], [[1], [2]]),
        ('{"columns":["a"],"index":[0,1],"data":[[1],[2]]}', ["a"], [[1], [2]]),
        ("[1,2]", ["json"], [[1], [2]]),
        ("[]", [], []),
        ("", [], []),
        (
            '[{"a":"00123","b":1180591620717411303424,"c":true}]',
            None,
            [["00123", 1180591620717411303424, True]],
        ),
        ('[{"a":1,"b":"1"},{"a":"x","b":"2"}]', None, [[1, "1"], ["x", "2"]]),
    ],
)
async def test_json_in_its_shapes(
    source: FolderSource, document: str, columns: list[str] | None, rows: list[list[Any]]
) -> None:
    table = await shown(source, document, "a.json")
    assert columns is None or [column.name for column in table.columns] == columns
    assert table.rows == rows


async def test_json_columns_have_the_types_of_their_values(source: FolderSource) -> None:
    row = {
        "whole": 1, "real": 0.5, "flag": True, "text": "7", "day": "2024-01-02", "object": {"a": 1}, "none": None,
    }  # fmt: skip
    found = await types(source, json.dumps([row]), "a.json")
    assert list(found.values()) == ["BIGINT", "DOUBLE", "BOOLEAN", "VARCHAR", "DATE", "JSON", "JSON"]
    statistics = by_column(await source.statistics("a.json"))
    assert statistics["object"] == {"type": "JSON", "count": 1, "nulls": 0}
    assert statistics["none"] == {"type": "JSON", "count": 0, "nulls": 1}


async def test_parquet_values_are_exact(source: FolderSource) -> None:
    table = pa.table(
        {
            "big": pa.array([2**63 - 1, None], pa.int64()),
            "unsigned": pa.array([2**64 - 1, 0], pa.uint64()),
            "exact": pa.array([Decimal("12345678901234567890.12"), Decimal("0.50")], pa.decimal128(38, 2)),
            "short": pa.array([0.1, float("nan")], pa.float32()),
            "nano": pa.array([1, 10**18], pa.timestamp("ns")),
            "bytes": pa.array([b"\x00\xff", b""]),
            "list": pa.array([[1, None], []], pa.list_(pa.int64())),
            "struct": pa.array([{"x": 1}, None], pa.struct([("x", pa.int64())])),
        }
    )
    pq.write_table(table, source.root / "a.parquet")
    found = await source.preview("a.parquet")
    assert found.rows[0][:4] == [2**63 - 1, 2**64 - 1, "12345678901234567890.12", 0.1]
    assert found.rows[0][4:] == ["1970-01-01 00:00:00.000000001", "\\x00ff", [1, None], {"x": 1}]
    assert found.rows[1][:4] == [None, 0, 0.5, "NaN"]
    statistics = by_column(await source.statistics("a.parquet"))
    assert statistics["exact"]["max"] == "12345678901234567890.12"
    assert statistics["unsigned"]["max"] == 2**64 - 1
    assert statistics["struct"] == {"type": "STRUCT(x BIGINT)", "count": 1, "nulls": 1}
    assert statistics["bytes"] == {"type": "BLOB", "count": 2, "nulls": 0, "distinct": 2}


async def test_the_first_visible_sheet_that_holds_anything(source: FolderSource) -> None:
    book = openpyxl.Workbook()
    hidden = book.active
    assert hidden is not None
    hidden.sheet_state = "hidden"
    hidden["A1"] = "secret"
    book.create_sheet("Empty")
    sheet = book.create_sheet("Data")
    sheet["B3"] = "Report of the year"
    sheet.merge_cells("B3:E3")
    moment = datetime.datetime(2024, 1, 2, 3, 4, 5)  # noqa: DTZ001 - Excel knows no zones
    for row, values in enumerate(
        [
            ("id", "when", "value", "mixed"),
            ("00123", datetime.date(2024, 1, 2), 5, 1),
            ("x", moment, 0.1, "text"),
            (None, None, None, None),
            ("y", None, -3, True),
        ],
        start=5,
    ):
        for column, value in enumerate(values, start=2):
            sheet.cell(row, column, value)
    book.save(source.root / "a.xlsx")
    table = await source.preview("a.xlsx")
    described = [(column.name, column.type) for column in table.columns]
    assert described == [("id", "VARCHAR"), ("when", "TIMESTAMP"), ("value", "DOUBLE"), ("mixed", "VARCHAR")]
    assert table.rows == [
        ["00123", "2024-01-02", 5.0, "1"],
        ["x", "2024-01-02 03:04:05", 0.1, "text"],
        ["y", None, -3.0, "true"],
    ]


async def test_long_values_are_cut(source: FolderSource) -> None:
    table = await shown(source, f"a,b\n{'x' * 5000},1\n")
    assert table.rows == [["x" * 1000 + "…", 1]]
    found = await measured(source, f"a,b\n{'x' * 5000},1\n")
    assert found["a"]["max"] == "x" * 1000 + "…"


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl"])
async def test_of_a_large_text_only_the_beginning_is_brought(
    source: FolderSource, format: str, packing: str
) -> None:
    noise = os.urandom(40_000).hex()
    lines = [noise[n : n + 60] for n in range(0, 80_000, 60)] * 40
    separator = "\t" if format == "tsv" else ","
    written = [f'{{"a":{n},"b":"{line}"}}' if format == "jsonl" else f"{n}{separator}{line}{n}" for n, line in
               enumerate(lines)]  # fmt: skip
    text = "\n".join(written if format == "jsonl" else [f"a{separator}b", *written])
    data = PACKED[packing](text.encode())
    if packing:  # random bytes behind it: what is not read need not be readable
        data += os.urandom(HEAD_BYTES * 2)
    table = await shown(source, data, f"a.{format}{packing}", limit=5)
    assert [row[0] for row in table.rows] == [0, 1, 2, 3, 4]
    assert table.truncated
    assert source.read_bytes == HEAD_BYTES


async def test_more_is_brought_until_there_are_rows_enough(source: FolderSource) -> None:
    wide = "x" * (HEAD_BYTES // 4)
    content = "a,b\n" + "".join(f'{n},"{wide}\n{wide}"\n' for n in range(8))
    table = await shown(source, content, limit=4)
    assert ([row[0] for row in table.rows], table.truncated) == ([0, 1, 2, 3], True)
    table = await source.preview("a.csv", limit=100)
    assert ([row[0] for row in table.rows], table.truncated) == (list(range(8)), False)


async def test_what_has_to_be_whole_has_a_limit(tmp_path: Path) -> None:
    source = FolderSource(tmp_path, defaults=SourceDefaults(limits=Limits(max_file_bytes=2 * 1024**2)))
    for name, ask in (
        ("a.json", source.preview),
        ("a.parquet", source.preview),
        ("a.csv", source.statistics),
    ):
        (tmp_path / name).write_bytes((b"PAR1" if "parquet" in name else b"[1,") * 1024**2)
        with pytest.raises(FileTooLarge, match="max_file_bytes"):
            await ask(name)


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_limits_are_checked(source: FolderSource, limit: int) -> None:
    with pytest.raises(InvalidRequest, match="limit must be from 1 to 1000"):
        await shown(source, "a\n", limit=limit)


async def test_what_is_missing_is_told_by_the_source(source: FolderSource) -> None:
    with pytest.raises(BlobNotFound):
        await source.preview("none.csv")
    with pytest.raises(BlobNotFound):
        await source.statistics("none.csv")


@pytest.mark.parametrize(
    ("name", "content"), [("a.pdf", b"%PDF-1.7"), ("a.csv", b"BZh91AY&SY"), ("a", bytes(range(256)))]
)
async def test_other_formats_are_told_with_the_known_ones(
    source: FolderSource, name: str, content: bytes
) -> None:
    with pytest.raises(NotSupported, match="CSV, TSV, JSON, JSON Lines, Parquet and Excel"):
        await shown(source, content, name)


async def test_a_deadline_ends_the_reader(tmp_path: Path) -> None:
    source = FolderSource(tmp_path, defaults=SourceDefaults(timeouts=Timeouts(query_s=0.05)))
    mark = f"deadline-{os.getpid()}.csv"
    with pytest.raises(QueryTimeout, match="query_timeout_s"):
        await shown(source, "a,b\n1,2\n", mark)
    assert processes_with(mark) == []


async def test_a_cancelled_reader_ends_with_all_it_has(source: FolderSource) -> None:
    mark = f"cancelled-{os.getpid()}.csv"
    await asyncio.to_thread((source.root / mark).write_bytes, b"a,b\n" + b"1,2\n" * 5_000_000)
    task = asyncio.create_task(source.statistics(mark))
    while not (found := processes_with(mark)):  # noqa: ASYNC110 - nothing tells of another process
        await asyncio.sleep(0)
    os.kill(found[0], signal.SIGSTOP)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert processes_with(mark) == []


NUMBERS = st.one_of(st.none(), st.integers(-(2**62), 2**62))
REALS = st.one_of(st.none(), st.floats(-1e100, 1e100).filter(lambda x: x == 0 or abs(x) > 1e-100))
TEXTS = st.one_of(st.none(), st.text("abcxyzäß☃ ,;|\t\"'\n0189.-", min_size=1).map(lambda text: f"t{text}"))


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet", "xlsx"])
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(NUMBERS, REALS, TEXTS), min_size=1, max_size=30))
async def test_what_libraries_write_comes_back(
    tmp_path: Path, format: str, rows: list[tuple[int | None, float | None, str | None]]
) -> None:
    if format == "xlsx":  # which knows only floats
        rows = [(None if n is None else n >> 12, x, t) for n, x, t in rows]
    frame = pd.DataFrame(rows, columns=["n", "x", "t"]).astype({"n": "Int64", "x": "Float64", "t": "object"})
    path = tmp_path / f"a.{format}"
    path.unlink(missing_ok=True)
    if format == "csv":
        frame.to_csv(path, index=False)
    elif format == "jsonl":
        frame.to_json(path, orient="records", lines=True, double_precision=15)
    elif format == "parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_excel(path, index=False)
    source = FolderSource(tmp_path)
    found = by_column(await source.statistics(path.name))
    table = await source.preview(path.name, limit=1000)
    whole = frame.dropna(how="all") if format == "xlsx" else frame
    assert len(table.rows) == len(whole)
    for name, place in (("n", 0), ("x", 1), ("t", 2)):
        values = [value for value in frame[name].tolist() if not pd.isna(value)]
        assert found[name]["count"] == len(values)
        assert found[name]["nulls"] == len(whole) - len(values)
        if not values or name == "t":
            continue
        number, near = (float, _near) if name == "x" else (int, int)
        assert number(found[name]["min"]) == near(min(values))
        assert number(found[name]["max"]) == near(max(values))
        shown_as = [number(row[place]) for row in table.rows if row[place] is not None]
        assert shown_as == [near(value) for value in values]


def _near(value: float) -> Any:
    return pytest.approx(value, rel=1e-12, abs=1e-14)
