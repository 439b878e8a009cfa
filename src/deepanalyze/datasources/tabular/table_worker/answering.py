"""What is told of a table: its first rows, or statistics of its columns."""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .columns import Column, Relation
from .engine import Engine
from .failures import NeedsWhole
from .values import converter, is_nested, is_number

MAX_CHARS = 1_000
_MIN_CHARS = 20
_MAX_CHARS_OF_ALL = 16_000_000  # of a thousand rows of very many columns
_MAX_TYPE_CHARS = 300  # a STRUCT names all its fields
_ORDERED = ("DATE", "TIME", "INTERVAL", "VARCHAR", "UUID", "ENUM")
_LARGE = 1e150  # squares of larger numbers are too large

Answer = Mapping[str, Any]


def preview(engine: Engine, relation: Relation, limit: int, *, complete: bool) -> Answer:
    """Of an incomplete file there have to be more rows than are shown, or it is said to need more."""
    columns = relation.columns
    max_chars = max(_MIN_CHARS, min(MAX_CHARS, _MAX_CHARS_OF_ALL // (limit * max(1, len(columns)))))
    texts = [f"left({column.text}, {max_chars + 1})" for column in columns]
    found = engine.rows(f"SELECT {', '.join(texts)} FROM {relation.sql} LIMIT {limit + 1}") if texts else []
    if not complete and len(found) <= limit:
        raise NeedsWhole
    converts = [converter(column.type, max_chars) for column in columns]
    rows = [
        [None if text is None else convert(text) for text, convert in zip(row, converts, strict=True)]
        for row in found[:limit]
    ]
    described = [{"name": column.name, "type": _type(column)} for column in columns]
    return {"columns": described, "rows": rows, "truncated": len(found) > limit}


def statistics(engine: Engine, relation: Relation) -> Answer:
    """Of a column at a time: the engine then holds only its different values, and puts them on disk when they are
    too many for its memory. So they are counted exactly.
    """
    [(rows,)] = engine.rows(f"SELECT count(*) FROM {relation.sql}")
    return {
        "row_count": rows,
        "columns": [_statistics(engine, relation, one, rows) for one in relation.columns],
    }


def _statistics(engine: Engine, relation: Relation, column: Column, rows: int) -> Answer:
    asked = _aggregates(column, 1.0)
    [found] = engine.rows(f"SELECT {', '.join(asked.values())} FROM {relation.sql}")
    values = dict(zip(asked, found, strict=True))
    if values.get("reach") is not None and values["reach"] > _LARGE:
        scale = values["reach"]
        asked = _moments(column, scale)
        [found] = engine.rows(f"SELECT {', '.join(asked.values())} FROM {relation.sql}")
        values |= {key: value * scale for key, value in zip(asked, found, strict=True) if value is not None}
    values.pop("reach", None)
    show = converter(column.type, MAX_CHARS)
    for extreme in ("min", "max"):
        if values.get(extreme) is not None:
            values[extreme] = show(values[extreme])
    for moment in ("mean", "stddev"):
        values[moment] = _finite(values.get(moment))
    return {"name": column.name, "type": _type(column), "nulls": rows - values["count"], **values}


def _aggregates(column: Column, scale: float) -> dict[str, str]:
    asked = {"count": f"count({column.text})"}
    if not is_nested(column.type):
        asked["distinct"] = f"count(DISTINCT {column.value})"
    if is_number(column.type) or column.type.startswith(_ORDERED):
        for extreme in ("min", "max"):
            asked[extreme] = f"left({_extreme(column, extreme)}, {MAX_CHARS + 1})"
    if is_number(column.type):
        number = f"CAST({column.value} AS DOUBLE)"
        asked["reach"] = f"max(abs({number})) FILTER (WHERE isfinite({number}))"
        asked |= _moments(column, scale)
    return asked


def _extreme(column: Column, extreme: str) -> str:
    """As the file writes it."""
    if column.from_text and column.type != "VARCHAR":
        return f"arg_{extreme}({column.text}, {column.value})"
    if column.type == "VARCHAR":
        return f"{extreme}({column.value})"
    return f"CAST({extreme}({column.value}) AS VARCHAR)"


def _moments(column: Column, scale: float) -> dict[str, str]:
    """Over what is finite, as one NaN would hide all other numbers."""
    number = f"CAST({column.value} AS DOUBLE)"
    part = number if scale == 1.0 else f"{number} / {scale!r}"
    small = f" AND abs({number}) <= {_LARGE!r}" if scale == 1.0 else ""
    condition = f"FILTER (WHERE isfinite({number}){small})"
    return {"mean": f"avg({part}) {condition}", "stddev": f"stddev_samp({part}) {condition}"}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _type(column: Column) -> str:
    type = column.type
    return type if len(type) <= _MAX_TYPE_CHARS else type[:_MAX_TYPE_CHARS] + "…"
