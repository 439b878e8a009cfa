"""How much of a relation its statistics are computed on. Blocking: for worker threads."""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deepanalyze.datasources.connectors.postgresql.catalog import Relation
from deepanalyze.datasources.connectors.postgresql.identifiers import always_quoted
from deepanalyze.datasources.connectors.postgresql.scope import read_rows
from deepanalyze.datasources.connectors.postgresql.wire import Wire

_MIN_PAGES = 100
_PAGE_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """Sorting, to count what is distinct, takes most of the time, and about as long for each cell: a million rows of
    eight columns took 2 to 3 s, so that twenty million cells leave room below the usual limit of 30 s for slower
    machines and for texts in the order of a language. Bytes count too, for somebody else's disk has to bring them. A
    sample of an ordinary table still has some hundred thousand rows.
    """

    exact_cells: int = 20_000_000
    exact_bytes: int = 1024**3
    sample_cells: int = 4_000_000
    sample_bytes: int = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Sample:
    """`source` stands after FROM, and is named `t`. `fraction`: of the pages; `limit`: the first rows; neither:
    everything. `estimate` is what the planner thinks that the whole has.
    """

    source: str
    estimate: int
    fraction: float | None = None
    limit: int | None = None

    def whole(self, rows: int) -> tuple[int, bool]:
        """How many rows the relation has when the sample has so many, and whether that is estimated."""
        if self.fraction is not None:
            return round(rows / self.fraction) or self.estimate, True
        if self.limit is not None and rows >= self.limit:
            return max(self.estimate, rows), True
        return rows, False


def choose(wire: Wire, relation: Relation, columns: Sequence[str], bounds: Bounds) -> Sample:
    rows = _planned_rows(wire, relation)
    if relation.kind in "vf":
        return _first_rows(relation, columns, rows, bounds)
    heap, whole = _bytes(wire, relation)
    cells = rows * max(1, len(columns))
    if cells <= bounds.exact_cells and whole <= bounds.exact_bytes:
        return Sample(f"{relation.sql} AS t", rows)
    wanted = min(bounds.sample_cells / max(1, cells), bounds.sample_bytes / max(1, whole))
    fraction = min(1.0, max(wanted, _MIN_PAGES * _PAGE_BYTES / max(1, heap)))
    # The same pages for every pass, and for the next one who asks.
    return Sample(
        f"{relation.sql} AS t TABLESAMPLE SYSTEM ({fraction * 100!r}) REPEATABLE (0)", rows, fraction
    )


def _first_rows(relation: Relation, columns: Sequence[str], rows: int, bounds: Bounds) -> Sample:
    """Without pages there is no fair sample. A view that turns out to have less than the limit is known exactly."""
    width = max(1, len(columns))
    cells = bounds.exact_cells if rows * width <= bounds.exact_cells else bounds.sample_cells
    limit = max(1, cells // width)
    chosen = ", ".join(map(always_quoted, columns))
    return Sample(f"(SELECT {chosen} FROM {relation.sql} LIMIT {limit}) AS t", rows, limit=limit)


def _planned_rows(wire: Wire, relation: Relation) -> int:
    """The planner knows the sizes of this moment, of inheriting tables too, where the catalogue's counts may be old."""
    plan = read_rows(wire, f"EXPLAIN (FORMAT JSON) {relation.select()}")[0]["QUERY PLAN"]
    return int(plan[0]["Plan"]["Plan Rows"])


def _bytes(wire: Wire, relation: Relation) -> tuple[int, int]:
    """Of the tables that a query reads: of their own pages, and with long values stored elsewhere."""
    found = read_rows(
        wire,
        f"""
WITH RECURSIVE tree(oid) AS (
  SELECT {relation.oid}::pg_catalog.oid
  UNION SELECT i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
)
SELECT coalesce(sum(pg_catalog.pg_relation_size(oid)), 0)::int8 AS heap,
       coalesce(sum(pg_catalog.pg_table_size(oid)), 0)::int8 AS whole FROM tree""",
    )[0]
    return found["heap"], found["whole"]
