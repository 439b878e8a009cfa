"""PostgreSQL's values as pandas holds them without loss, out of CSV texts or Parquet columns."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

Column = dict[str, Any]  # name, type as PostgreSQL calls it, dtype
Texts = list[str | None]

_INTERVAL = re.compile(r"(?:(-?\d+) days? ?)?(?:(-)?(\d+):(\d\d):(\d\d)(?:\.(\d+))?)?")
_ARRAY_BOUNDS = re.compile(r"^(\[-?\d+:-?\d+\])+=")
_INTEGERS = ("smallint", "integer", "bigint", "oid")
_FLOATS = ("real", "double precision")


def read_csv(path: Path, columns: Sequence[Column], decimals: str) -> pd.DataFrame:
    """COPY's own CSV, in which NULL is nothing and the empty text is \"\"."""
    names = [str(number) for number in range(len(columns))]  # the file's own may be equal, or empty
    table = (
        pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(
                column_names=names, skip_rows=_header_lines(path), block_size=16 * 1024**2
            ),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(columns) > 1),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        if _has_rows(path)
        else pa.table({name: pa.array([], pa.string()) for name in names})
    )
    series = [
        _series(table.column(number), column["type"], decimals) for number, column in enumerate(columns)
    ]
    return _frame(series, columns)


def read_parquet(path: Path, columns: Sequence[Column], decimals: str) -> pd.DataFrame:
    table = pa.parquet.read_table(path)
    series = [
        _of_arrow(table.column(number), column["type"], decimals) for number, column in enumerate(columns)
    ]
    return _frame(series, columns)


def _frame(series: Sequence[pd.Series[Any]], columns: Sequence[Column]) -> pd.DataFrame:
    frame = pd.concat(series, axis=1) if series else pd.DataFrame()
    frame.columns = pd.Index([column["name"] for column in columns], dtype=object)
    return frame


def _header_lines(path: Path) -> int:
    """Lines of the header: a column's name may hold line ends."""
    with path.open("rb") as file:
        lines, quotes = 0, 0
        for line in file:
            lines += 1
            quotes += line.count(b'"')
            if quotes % 2 == 0:
                return lines
    return lines


def _has_rows(path: Path) -> bool:
    skipped = _header_lines(path)
    with path.open("rb") as file:
        for _ in range(skipped):
            file.readline()
        return bool(file.read(1))


def _of_arrow(values: pa.ChunkedArray, kind: str, decimals: str) -> pd.Series[Any]:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return _series(values, kind, decimals)
    if pa.types.is_decimal(values.type):
        return _decimals(values.to_pylist(), decimals)
    if pa.types.is_integer(values.type):
        return _whole(values)
    if pa.types.is_boolean(values.type):
        if values.null_count:
            return pd.Series(values.to_pylist(), dtype="boolean")
        return _plain(values)
    if pa.types.is_date(values.type):
        return _plain(values.cast(pa.timestamp("us")))
    if pa.types.is_timestamp(values.type) or pa.types.is_floating(values.type):
        return _plain(values)
    return _objects(values.to_pylist())


def _series(texts: pa.ChunkedArray, kind: str, decimals: str) -> pd.Series[Any]:
    """Columns whose texts do not fit their type's pandas form are texts in whole."""
    base = kind.partition("(")[0]
    try:
        if kind.endswith("[]"):
            element = _element(kind[:-2])
            return _objects([None if t is None else _array(t, element) for t in texts.to_pylist()])
        if base in _INTEGERS:
            return _whole(texts.cast(pa.int64()))
        if base in _FLOATS:
            return pd.Series([None if t is None else float(t) for t in texts.to_pylist()], dtype="float64")
        if base == "numeric":
            return _decimals([None if t is None else Decimal(t) for t in texts.to_pylist()], decimals)
        if base == "boolean":
            truths = [None if t is None else t == "true" for t in texts.to_pylist()]
            return pd.Series(truths, dtype="boolean" if texts.null_count else "bool")
        if base == "bytea":
            return _objects(
                [None if t is None else bytes.fromhex(t.removeprefix("\\x")) for t in texts.to_pylist()]
            )
        if base == "date" or (kind.startswith("timestamp") and "with time zone" not in kind):
            return _plain(texts.cast(pa.timestamp("us")))
        if kind.startswith("timestamp"):
            instants = [_instant(text) for text in texts.to_pylist()]
            return _plain(pa.array(instants, pa.timestamp("us", "UTC")))
        if kind.startswith("interval"):
            return pd.Series([_span(text) for text in texts.to_pylist()], dtype="timedelta64[us]")
    except (pa.ArrowInvalid, ValueError, OverflowError):
        pass
    return _objects(texts.to_pylist())


def _plain(values: Any) -> pd.Series[Any]:
    return pd.Series(values.to_pandas())


def _whole(values: pa.ChunkedArray) -> pd.Series[Any]:
    if not values.null_count:
        return _plain(values.cast(pa.int64()))
    return pd.Series(values.to_pylist(), dtype="Int64")


def _decimals(values: Sequence[Decimal | None], decimals: str) -> pd.Series[Any]:
    if decimals == "float":
        return pd.Series([None if v is None else float(v) for v in values], dtype="float64")
    return _objects(values)


def _objects(values: Sequence[Any]) -> pd.Series[Any]:
    series: pd.Series[Any] = pd.Series([None] * len(values), dtype=object)
    for position, value in enumerate(values):
        series.iat[position] = value
    return series


def _instant(text: str | None) -> datetime.datetime | None:
    return None if text is None else datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)


def _span(text: str | None) -> datetime.timedelta | None:
    if text is None:
        return None
    found = _INTERVAL.fullmatch(text)
    if found is None or not text:
        raise ValueError(text)
    days, sign, hours, minutes, seconds, fraction = found.groups()
    clock = datetime.timedelta(
        hours=int(hours or 0),
        minutes=int(minutes or 0),
        seconds=int(seconds or 0),
        microseconds=int((fraction or "0").ljust(6, "0")),
    )
    return datetime.timedelta(days=int(days or 0)) + (-clock if sign else clock)


def _element(kind: str) -> Callable[[str], Any]:
    base = kind.partition("(")[0]
    if base in _INTEGERS:
        return int
    if base in _FLOATS:
        return float
    if base == "numeric":
        return Decimal
    if base == "boolean":
        return lambda text: text in ("t", "true")
    if base == "bytea":
        return lambda text: bytes.fromhex(text.removeprefix("\\x"))
    return str


def _array(text: str, element: Callable[[str], Any]) -> list[Any]:
    """PostgreSQL's array literal: `{1,NULL,"a,b"}`, nested for more dimensions."""
    body = _ARRAY_BOUNDS.sub("", text)
    levels: list[list[Any]] = [[]]
    token: list[str] = []
    quoted = False
    position = 0

    def close() -> None:
        if token or quoted:
            word = "".join(token)
            levels[-1].append(None if word == "NULL" and not quoted else element(word))
        token.clear()

    while position < len(body):
        character = body[position]
        if character == "{":
            levels.append([])
        elif character in ",}":
            close()
            quoted = False
            if character == "}":
                done = levels.pop()
                levels[-1].append(done)
        elif character == '"':
            quoted = True
            position += 1
            while body[position] != '"':
                position += body[position] == "\\"
                token.append(body[position])
                position += 1
        else:
            token.append(character)
        position += 1
    result: list[Any] = levels[0][0]
    return result
