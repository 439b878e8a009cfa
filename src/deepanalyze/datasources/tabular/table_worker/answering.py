"""What is told of a table: its first rows, or statistics of its columns."""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

from .columns import Column, Relation
from .engine import Engine
from .failures import NeedsWhole
from .typing_text import MISSING
from .values import converter, is_nested, is_number

MAX_CHARS = 1_000
_MIN_CHARS = 20
_MAX_CHARS_OF_ALL = 2_000_000  # of a thousand rows of very many columns
_MAX_TYPE_CHARS = 300  # a STRUCT names all its fields
_ORDERED = ("DATE", "TIME", "INTERVAL", "VARCHAR", "UUID", "ENUM")
_COLUMNS_AT_ONCE = 50
# Counting different values takes some ten megabytes for each column, so of few rows lists are made instead.
_FEW_ROWS = 10_000
_MEASURED_AT_ONCE = 10
_COUNTED_AT_ONCE = 4
_VALUES_AT_ONCE = 500_000
_LARGE = 1e150  # squares of larger numbers are too large

Answer = Mapping[str, Any]


def preview(engine: Engine, relation: Relation, limit: int, *, complete: bool) -> Answer:
    """Of an incomplete file there have to be more rows than are shown, or it is said to need more."""
    columns = relation.columns
    max_chars = max(_MIN_CHARS, min(MAX_CHARS, _MAX_CHARS_OF_ALL // (limit * max(1, len(columns)))))
    found = _rows(engine, relation, limit + 1, max_chars)
    if not complete and len(found) <= limit:
        raise NeedsWhole
    shows = [_shows(column, max_chars) for column in columns]
    rows = [[show(text) for text, show in zip(row, shows, strict=True)] for row in found[:limit]]
    described = [{"name": column.name, "type": _type(column)} for column in columns]
    return {"columns": described, "rows": rows, "truncated": len(found) > limit}


def _shows(column: Column, max_chars: int) -> Callable[[str | None], Any]:
    convert = converter(column.type, max_chars)
    if column.from_text and column.type != "VARCHAR":
        return lambda text: None if text is None or text in MISSING else convert(text)
    return lambda text: None if text is None else convert(text)


def _rows(engine: Engine, relation: Relation, limit: int, max_chars: int) -> list[tuple[str | None, ...]]:
    """A few columns at a time: of each the engine holds thousands of rows, however few are wanted."""
    parts = []
    for start in range(0, len(relation.columns), _COLUMNS_AT_ONCE):
        some = relation.columns[start : start + _COLUMNS_AT_ONCE]
        texts = ", ".join(f"left({column.text}, {max_chars + 1})" for column in some)
        parts.append(engine.rows(f"SELECT {texts} FROM {relation.sql} LIMIT {limit}"))
    return [tuple(itertools.chain(*row)) for row in zip(*parts, strict=True)]


def statistics(engine: Engine, relation: Relation) -> Answer:
    """Of few columns at a time: the engine then holds only their different values, and puts them on disk when they
    are too many for its memory. So they are counted exactly.
    """
    [(rows,)] = engine.rows(f"SELECT count(*) FROM {relation.sql}")
    few = rows <= _FEW_ROWS
    at_once = _MEASURED_AT_ONCE if few else max(1, min(_COUNTED_AT_ONCE, _VALUES_AT_ONCE // rows))
    measured: list[Answer] = []
    for start in range(0, len(relation.columns), at_once):
        some = relation.columns[start : start + at_once]
        values = _ask(engine, relation, [_aggregates(column, few=few) for column in some])
        measured += [_statistics(engine, relation, *pair, rows) for pair in zip(some, values, strict=True)]
    return {"row_count": rows, "columns": measured}


def _ask(engine: Engine, relation: Relation, wanted: list[dict[str, str]]) -> list[dict[str, Any]]:
    expressions = ", ".join(expression for one in wanted for expression in one.values())
    [found] = engine.rows(f"SELECT {expressions} FROM {relation.sql}")
    rest = iter(found)
    return [{key: next(rest) for key in one} for one in wanted]


def _statistics(
    engine: Engine, relation: Relation, column: Column, values: dict[str, Any], rows: int
) -> Answer:
    reach = values.pop("reach", None)
    if reach is not None and reach > _LARGE:
        [scaled] = _ask(engine, relation, [_moments(column, reach)])
        values |= {key: value * reach for key, value in scaled.items() if value is not None}
    show = converter(column.type, MAX_CHARS)
    for extreme in ("min", "max"):
        if values.get(extreme) is not None:
            values[extreme] = show(values[extreme])
    for moment in ("mean", "stddev"):
        values[moment] = _finite(values.get(moment))
    return {"name": column.name, "type": _type(column), "nulls": rows - values["count"], **values}


def _aggregates(column: Column, *, few: bool) -> dict[str, str]:
    asked = {"count": f"count({column.value})"}
    if not is_nested(column.type):
        lists = f"coalesce(len(list_distinct(list({column.value}))), 0)"
        asked["distinct"] = lists if few else f"count(DISTINCT {column.value})"
    if is_number(column.type) or column.type.startswith(_ORDERED):
        for extreme in ("min", "max"):
            asked[extreme] = f"left({_extreme(column, extreme)}, {MAX_CHARS + 1})"
    if is_number(column.type):
        number = f"CAST({column.value} AS DOUBLE)"
        asked["reach"] = f"max(abs({number})) FILTER (WHERE isfinite({number}))"
        asked |= _moments(column)
    return asked


def _extreme(column: Column, extreme: str) -> str:
    """As the file writes it."""
    if column.from_text and column.type != "VARCHAR":
        return f"arg_{extreme}({column.text}, {column.value})"
    if column.type == "VARCHAR":
        return f"{extreme}({column.value})"
    return f"CAST({extreme}({column.value}) AS VARCHAR)"


def _moments(column: Column, scale: float = 1.0) -> dict[str, str]:
    """Over what is finite, as one NaN would hide all other numbers; scaled where squares would be too large."""
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
