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
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

Column = dict[str, Any]  # name, type as PostgreSQL calls it, dtype
Texts = list[str | None]

_INTERVAL = re.compile(r"(?:(-?\d+) days? ?)?(?:([-+])?(\d+):(\d\d):(\d\d)(?:\.(\d+))?)?")
_ARRAY_BOUNDS = re.compile(r"^(\[-?\d+:-?\d+\])+=")
_INTEGERS = ("smallint", "integer", "bigint", "oid")
_FLOATS = ("real", "double precision")
_BLOCK_BYTES, _LARGEST_BLOCK_BYTES = 16 * 1024**2, 2**31 - 1


def read_csv(path: Path, columns: Sequence[Column], decimals: str) -> pd.DataFrame:
    """COPY's own CSV, in which NULL is nothing and the empty text is \"\"."""
    names = [str(number) for number in range(len(columns))]  # the file's own may be equal, or empty
    # Without the header: it may hold line ends, so it was read as a row
    table = _texts(path, names, _BLOCK_BYTES).slice(1)
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


def _texts(path: Path, names: Sequence[str], block_bytes: int) -> pa.Table:
    try:
        return pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(column_names=names, block_size=block_bytes),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(names) > 1),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        enough = min(path.stat().st_size + 1, _LARGEST_BLOCK_BYTES)
        if "straddles" not in str(error) or block_bytes >= enough:
            raise
    return _texts(path, names, min(8 * block_bytes, enough))  # a row is larger than a block


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
    if pa.types.is_timestamp(values.type):
        return _plain(values)
    if pa.types.is_floating(values.type):
        return _floats(_as_written(values))
    if pa.types.is_list(values.type):
        return _lists(values, decimals)
    return _objects(_as_written(values).to_pylist())


def _as_written(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """`real` and `time` as the server writes them, and so as they are in a CSV file: 0.1 is not 0.10000000149."""
    if pa.types.is_float32(values.type):
        return values.cast(pa.string()).cast(pa.float64())
    if pa.types.is_time(values.type):
        return pc.replace_substring_regex(values.cast(pa.string()), r"\.?0*$", "")
    return values


def _lists(values: pa.ChunkedArray, decimals: str) -> pd.Series[Any]:
    flat = _as_written(pc.list_flatten(values))
    if pa.types.is_decimal(flat.type) and decimals == "float":
        flat = flat.cast(pa.float64())
    elements = iter(flat.to_pylist())
    lengths = pc.list_value_length(values).to_pylist()
    return _objects([None if n is None else [next(elements) for _ in range(n)] for n in lengths])


def _series(texts: pa.ChunkedArray, kind: str, decimals: str) -> pd.Series[Any]:
    """Columns whose texts do not fit their type's pandas form are texts in whole."""
    base = kind.partition("(")[0]
    try:
        if kind.endswith("[]"):
            return _objects(_arrays(texts.to_pylist(), kind[:-2], decimals))
        if base in _INTEGERS:
            return _whole(texts.cast(pa.int64()))
        if base in _FLOATS:
            return _floats(texts.cast(pa.float64()))
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
            return _plain(_instants(texts))
        if kind.startswith("interval"):
            return pd.Series([_span(text) for text in texts.to_pylist()], dtype="timedelta64[us]")
    except (pa.ArrowInvalid, ValueError, OverflowError):
        pass
    return _objects(texts.to_pylist())


def _plain(values: Any) -> pd.Series[Any]:
    return pd.Series(values.to_pandas())


def _whole(values: pa.ChunkedArray) -> pd.Series[Any]:
    values = values.cast(pa.int64())
    if not values.null_count:
        return _plain(values)
    return pd.Series(pd.arrays.IntegerArray(values.fill_null(0).to_numpy(), values.is_null().to_numpy()))


def _floats(values: pa.ChunkedArray) -> pd.Series[Any]:
    """`Float64` where only that keeps NULL and NaN apart."""
    if values.null_count and pc.any(pc.is_nan(values)).as_py():
        kept = pd.arrays.FloatingArray(values.fill_null(0).to_numpy(), values.is_null().to_numpy())
        return pd.Series(kept)
    return _plain(values)


def _decimals(values: Sequence[Decimal | None], decimals: str) -> pd.Series[Any]:
    if decimals == "float":
        return _floats(pa.chunked_array([[None if v is None else float(v) for v in values]], pa.float64()))
    return _objects(values)


def _objects(values: Sequence[Any]) -> pd.Series[Any]:
    return pd.Series(list(values), dtype=object)


def _instants(texts: pa.ChunkedArray) -> Any:
    utc = pa.timestamp("us", "UTC")
    try:
        return texts.cast(utc)
    except pa.ArrowInvalid:  # the offsets of old times have seconds
        return pa.array([None if text is None else _instant(text) for text in texts.to_pylist()], utc)


def _instant(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)


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
    return datetime.timedelta(days=int(days or 0)) + (-clock if sign == "-" else clock)


def _arrays(texts: Texts, kind: str, decimals: str) -> list[list[Any] | None]:
    """Elements of which some do not fit the type's Python form are texts, as are columns."""
    delimiter = ";" if kind == "box" else ","
    try:
        element = _element(kind, decimals)
        return [None if text is None else _array(text, element, delimiter) for text in texts]
    except (ValueError, OverflowError):
        return [None if text is None else _array(text, str, delimiter) for text in texts]


def _element(kind: str, decimals: str) -> Callable[[str], Any]:
    base = kind.partition("(")[0]
    if base in _INTEGERS:
        return int
    if base in _FLOATS:
        return float
    if base == "numeric":
        return float if decimals == "float" else Decimal
    if base == "date":
        return datetime.date.fromisoformat
    if base.startswith("timestamp"):
        return _instant if kind.endswith("with time zone") else datetime.datetime.fromisoformat
    if base == "boolean":
        return lambda text: text in ("t", "true")
    if base == "bytea":
        return lambda text: bytes.fromhex(text.removeprefix("\\x"))
    return str


def _array(text: str, element: Callable[[str], Any], delimiter: str = ",") -> list[Any]:
    """PostgreSQL's array literal: `{1,NULL,"a,b"}`, nested for more dimensions."""
    body = _ARRAY_BOUNDS.sub("", text)
    if body != "{}" and '"' not in body and "{" not in body[1:]:  # most are as simple as that
        return [None if word == "NULL" else element(word) for word in body[1:-1].split(delimiter)]
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
        elif character in (delimiter, "}"):
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
