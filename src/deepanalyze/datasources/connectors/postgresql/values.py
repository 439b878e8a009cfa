"""PostgreSQL's text forms as JSON can hold them. Blocking: for worker threads."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.adapt import Transformer
from psycopg.pq import Format
from psycopg.pq.abc import PGresult

from deepanalyze.datasources.connectors.postgresql.dtypes import (
    BOOL,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    NUMERIC,
    OID,
)
from deepanalyze.datasources.connectors.postgresql.export import ColumnType
from deepanalyze.datasources.connectors.postgresql.scope import read_rows
from deepanalyze.datasources.connectors.postgresql.sizes import ByteCount
from deepanalyze.datasources.connectors.postgresql.wire import Wire

JSON, JSONB = 114, 3802

_FIRST_OWN_OID = 16384  # types below it come with the server
_SPLITTING = {",": 1009, ";": 1020}  # arrays of text, and of boxes, which psycopg takes apart into texts
_EXACT_DIGITS = 15  # every decimal number of so many digits comes back from a float as it was
_MAX_INT_DIGITS = 4_000  # Python neither reads nor writes much longer ones
_MAX_DEPTH = 100  # of JSON that whoever writes it again can still follow
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

Convert = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class ArrayType:
    """The element's type, domains seen through, and what stands between two elements."""

    element: int
    delimiter: str


def json_values(
    columns: Sequence[ColumnType],
    results: Iterable[PGresult],
    max_rows: int,
    max_bytes: int | None = None,
    *,
    arrays: Mapping[int, ArrayType] | None = None,
    max_chars: int | None = None,
) -> tuple[list[list[Any]], bool]:
    """The first `max_rows` rows, their values as `Table` wants them, and whether there were more.

    Args:
        results: in text form.
        max_bytes: raises ResultTooLarge above it.
        arrays: what `read_array_types` found; without it, arrays of the database's own types stay text.
        max_chars: a longer value becomes the beginning of its text, and an ellipsis.
    """
    converts = [_shortening(converter(oid, arrays or {}), max_chars) for _, oid, _ in columns]
    rows: list[list[Any]] = []
    truncated = False
    size = ByteCount(columns, max_bytes)
    for result in results:
        size.add(result)
        wanted = min(result.ntuples, max_rows - len(rows))
        truncated = truncated or wanted < result.ntuples
        rows.extend(_row(result, index, converts) for index in range(wanted))
    return rows, truncated


def _row(result: PGresult, index: int, converts: Sequence[Convert]) -> list[Any]:
    return [
        None
        if (value := result.get_value(index, column)) is None
        else convert(str(value, "utf-8", "replace"))
        for column, convert in enumerate(converts)
    ]


def converter(oid: int, arrays: Mapping[int, ArrayType]) -> Convert:
    """From the text of a value of that type; texts are told to be what they are."""
    if (scalar := _SCALARS.get(oid)) is not None:
        return scalar
    known = psycopg.adapters.types.get(oid)
    if known is not None and known.array_oid == oid:
        array: ArrayType | None = ArrayType(known.oid, known.delimiter)
    else:
        array = arrays.get(oid)
    if array is None or array.delimiter not in _SPLITTING:
        return str
    split = Transformer().get_loader(_SPLITTING[array.delimiter], Format.TEXT).load
    element = _SCALARS.get(array.element, str)
    return lambda text: _each(split(text.encode()), element)


def read_array_types(wire: Wire, columns: Sequence[ColumnType]) -> dict[int, ArrayType]:
    """Asks the server about the arrays among types that do not come with it: of enums, domains, extensions."""
    own = sorted({oid for _, oid, _ in columns if oid >= _FIRST_OWN_OID})
    if not own:
        return {}
    found = read_rows(wire, _ARRAY_TYPES.format(oids=",".join(map(str, own))))
    return {row["of"]: ArrayType(row["oid"], row["delimiter"]) for row in found}


_ARRAY_TYPES = """
WITH RECURSIVE element(of, oid, typtype, typbasetype, typdelim) AS (
  SELECT t.oid, e.oid, e.typtype, e.typbasetype, e.typdelim
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
  WHERE t.oid = ANY ('{{{oids}}}'::pg_catalog.oid[])
  UNION ALL
  SELECT d.of, b.oid, b.typtype, b.typbasetype, d.typdelim
  FROM element d JOIN pg_catalog.pg_type b ON b.oid = d.typbasetype WHERE d.typtype = 'd'
)
SELECT of, oid, typdelim AS delimiter FROM element WHERE typtype <> 'd'
"""


def exact_number(text: str) -> float | str:
    """A float where its shortest decimal form is the number, else the text; NaN and infinities too."""
    value = float(text)
    if not math.isfinite(value):
        return text
    if len(text) <= _EXACT_DIGITS and "e" not in text.lower():
        return value
    try:
        return value if Decimal(repr(value)) == Decimal(text) else text
    except ArithmeticError:  # an exponent beyond all bounds, which JSON may have
        return text


def _float(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _document(text: str) -> Any:
    """JSON that could not be written again as it is (too deep, half a surrogate pair) stays text."""
    try:
        value = json.loads(text, parse_float=exact_number, parse_int=_integer)
    except (RecursionError, ValueError):
        return text
    if text.count("[") + text.count("{") > _MAX_DEPTH and _deeper_than(_MAX_DEPTH, value):
        return text
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return text
    return value


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _MAX_INT_DIGITS else text


def _deeper_than(limit: int, value: Any) -> bool:
    level = [value]
    for _ in range(limit):
        nested = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, (dict, list))]
        level = [inner for values in nested for inner in values]
        if not level:
            return False
    return True


def _each(values: Any, convert: Convert) -> Any:
    if isinstance(values, list):
        return [_each(value, convert) for value in values]
    return None if values is None else convert(values)


def _shortening(convert: Convert, max_chars: int | None) -> Convert:
    if max_chars is None:
        return convert
    return lambda text: convert(text) if len(text) <= max_chars else text[:max_chars] + "…"


_SCALARS: Mapping[int, Convert] = {
    BOOL: lambda text: text == "t",
    INT2: int,
    INT4: int,
    INT8: int,
    OID: int,
    FLOAT4: _float,
    FLOAT8: _float,
    NUMERIC: exact_number,
    JSON: _document,
    JSONB: _document,
}
