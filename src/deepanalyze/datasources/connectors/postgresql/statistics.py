"""What the columns of a relation hold in numbers, computed by the server. Blocking: for worker threads.

Small tables are read whole, in one pass for every sixty columns. What would take long is sampled: of a table, whole
pages picked at random; of a view or foreign table, which have no pages, the first rows. The results then are scaled to
the whole and marked as estimated.
"""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from deepanalyze.datasources.capabilities import ColumnStatistics, Statistics
from deepanalyze.datasources.connectors.postgresql import catalog
from deepanalyze.datasources.connectors.postgresql.aggregates import MAX_CHARS, MeasuredColumn, read_columns
from deepanalyze.datasources.connectors.postgresql.sampling import Bounds, Sample, choose
from deepanalyze.datasources.connectors.postgresql.scope import Scope
from deepanalyze.datasources.connectors.postgresql.values import json_values
from deepanalyze.datasources.connectors.postgresql.wire import Wire

# Each distinct count sorts in memory of its own, up to the server's work_mem; and of all expressions the server takes
# 1,664 at once.
_COLUMNS_PER_PASS = 60

_VARIED = 0.9

Values = Mapping[str, Any]


def statistics(wire: Wire, path: str, scope: Scope, bounds: Bounds | None = None) -> Statistics:
    """Mean and deviation are of the finite numbers; a text is given by its first 1,000 characters."""
    relation = catalog.resolve(wire, path, scope)
    columns = read_columns(wire, relation)
    sample = choose(wire, relation, relation.columns, bounds or Bounds())
    row_count, estimated = 0, False
    found: list[ColumnStatistics] = []
    for start in range(0, max(1, len(columns)), _COLUMNS_PER_PASS):
        some = columns[start : start + _COLUMNS_PER_PASS]
        rows, values = _pass(wire, sample, some)
        if start == 0:
            row_count, estimated = sample.whole(rows)
        scale = row_count / rows if rows else 1.0
        found += [_column(*pair, row_count, scale) for pair in zip(some, values, strict=True)]
    return Statistics(row_count, estimated, found)


def _pass(wire: Wire, sample: Sample, columns: Sequence[MeasuredColumn]) -> tuple[int, list[Values]]:
    """The rows that were read, and what each column's aggregates gave."""
    wanted = [column.aggregates(sampled=sample.fraction is not None) for column in columns]
    expressions = ["count(*)", *(text for of_column in wanted for text in of_column.values())]
    rows, *given = _row(wire, sample, expressions)
    rest = iter(given)
    values: list[Values] = [{key: next(rest) for key in of_column} for of_column in wanted]
    again = [n for n, of_column in enumerate(values) if of_column.get("beyond")]
    moments = [columns[n].exact_moments() for n in again]
    if moments:
        rest = iter(_row(wire, sample, [text for of_column in moments for text in of_column.values()]))
        for n, of_column in zip(again, moments, strict=True):
            values[n] = {**values[n], **{key: next(rest) for key in of_column}}
    return rows, values


def _row(wire: Wire, sample: Sample, expressions: Sequence[str]) -> list[Any]:
    results = list(wire.rows(f"SELECT {', '.join(expressions)} FROM {sample.source}"))
    types = [("", results[0].ftype(n), -1) for n in range(results[0].nfields)]
    return json_values(types, results, 1, max_chars=MAX_CHARS)[0][0]


def _column(column: MeasuredColumn, values: Values, row_count: int, scale: float) -> ColumnStatistics:
    count = min(row_count, round(values["count"] * scale))
    return ColumnStatistics(
        name=column.name,
        type=column.type,
        count=count,
        nulls=row_count - count,
        min=values.get("min"),
        max=values.get("max"),
        mean=_finite(values.get("mean")),
        stddev=_finite(values.get("stddev")),
        distinct=_distinct(column, values, count, row_count),
    )


def _distinct(column: MeasuredColumn, values: Values, count: int, row_count: int) -> int | None:
    """Of a sample from the server's own statistics, or else from how varied the sample is: where nearly all values
    differ, they will in the whole; if not, most of them have been seen.
    """
    counted: int | None = values.get("distinct")
    if counted is None and column.n_distinct is not None:
        share = column.n_distinct * row_count
        return min(count, round(column.n_distinct if share > 0 else -share))
    if counted is None or counted < _VARIED * values["count"]:
        return counted
    return round(counted * count / values["count"]) if counted else 0


def _finite(text: str | None) -> float | None:
    value = None if text is None else float(text)
    return value if value is not None and math.isfinite(value) else None
