"""What can be computed of a column, by its type, and what the server is asked for. Blocking: for worker threads."""

from __future__ import annotations

from dataclasses import dataclass

from deepanalyze.datasources.connectors.postgresql.catalog import Relation
from deepanalyze.datasources.connectors.postgresql.dtypes import (
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    NUMERIC,
    OID,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
)
from deepanalyze.datasources.connectors.postgresql.identifiers import always_quoted
from deepanalyze.datasources.connectors.postgresql.scope import read_rows
from deepanalyze.datasources.connectors.postgresql.wire import Wire

MAX_CHARS = 1_000  # of a smallest or largest text

_MONEY, _TIMETZ, _BPCHAR, _UUID, _INET, _CIDR = 790, 1266, 1042, 2950, 869, 650
_NUMBERS = frozenset({INT2, INT4, INT8, FLOAT4, FLOAT8, NUMERIC, _MONEY})
_ORDERED = _NUMBERS | {OID, DATE, TIME, _TIMETZ, TIMESTAMP, TIMESTAMPTZ, INTERVAL, _INET, _CIDR, _BPCHAR}
_SQUARABLE = "1e140"  # sums of squares of a great many such numbers still are numbers
_NUMERIC_BOUND = "1e1000"  # NaN and the infinities are beyond it, and whatever a float could not tell


@dataclass(frozen=True, slots=True)
class MeasuredColumn:
    """`oid` and `category` are of the type, domains seen through; `enum` is that type's name when it is one.
    `n_distinct` is from the server's own statistics: as many values or, below zero, so many for each row.
    """

    name: str
    type: str
    oid: int
    category: str
    enum: str | None
    sortable: bool
    has_min: bool
    n_distinct: float | None

    @property
    def sql(self) -> str:
        return always_quoted("t", self.name)

    def aggregates(self, *, sampled: bool) -> dict[str, str]:
        """`distinct` is left out of a sample when the server knows better."""
        found = {"count": f"count({self.sql})"}
        if self.sortable and not (sampled and self.n_distinct is not None):
            found["distinct"] = f"count(DISTINCT {self.sql})"
        for extreme in ("min", "max"):
            if (expression := self._extreme(extreme)) is not None:
                found[extreme] = expression
        return {**found, **self._moments()}

    def _extreme(self, extreme: str) -> str | None:
        if self.enum is not None:
            return f"pg_catalog.{extreme}({self.sql}::{self.enum})"
        if self.category == "S" and self.oid != _BPCHAR:
            return f"pg_catalog.left(pg_catalog.{extreme}({self.sql}::pg_catalog.text), {MAX_CHARS + 1})"
        if self.oid in _ORDERED or (self.oid == _UUID and self.has_min):
            return f"pg_catalog.{extreme}({self.sql})"
        return None

    def _moments(self) -> dict[str, str]:
        """Over what is finite, as one NaN would hide all other numbers. `beyond` counts those that would overflow."""
        value = {_MONEY: f"{self.sql}::numeric", FLOAT4: f"{self.sql}::float8"}.get(self.oid, self.sql)
        if self.oid not in _NUMBERS:
            return {}
        if self.oid == NUMERIC:
            return _moments(value, f"pg_catalog.abs({value}) < {_NUMERIC_BOUND}")
        if self.oid not in (FLOAT4, FLOAT8):
            return _moments(value, "true")
        square = f"pg_catalog.abs({value}) < {_SQUARABLE}"
        beyond = f"count(*) FILTER (WHERE {self._finite} AND NOT {square})"
        return {**_moments(value, square), "beyond": beyond}

    def exact_moments(self) -> dict[str, str]:
        """The same where numbers would overflow: slow, and in no danger of it."""
        return _moments(f"{self.sql}::numeric", self._finite)

    @property
    def _finite(self) -> str:
        return f"pg_catalog.abs({self.sql}) < 'Infinity'"  # NaN is more than that


def _moments(value: str, condition: str) -> dict[str, str]:
    return {
        "mean": f"(pg_catalog.avg({value}) FILTER (WHERE {condition}))::pg_catalog.text",
        "stddev": f"(pg_catalog.stddev_samp({value}) FILTER (WHERE {condition}))::pg_catalog.text",
    }


def read_columns(wire: Wire, relation: Relation) -> list[MeasuredColumn]:
    """Those that the role may read."""
    return [MeasuredColumn(**row) for row in read_rows(wire, _COLUMNS.format(oid=relation.oid))]


# `base` is a column's type without domains, `leaf` the innermost one, also of an array's elements: an array can be
# sorted when they can. What can be sorted has a default operator class, or is stored just like a type that has.
_COLUMNS = """
WITH RECURSIVE chosen AS (
  SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod FROM pg_catalog.pg_attribute a
  WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped
    AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')
), step(attnum, level, oid) AS (
  SELECT attnum, 0, atttypid FROM chosen
  UNION ALL
  SELECT s.attnum, s.level + 1, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE e.oid END
  FROM step s JOIN pg_catalog.pg_type t ON t.oid = s.oid
  LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
  WHERE t.typtype = 'd' OR e.oid IS NOT NULL
), base AS (
  SELECT DISTINCT ON (s.attnum) s.attnum, t.oid, t.typtype, t.typcategory
  FROM step s JOIN pg_catalog.pg_type t ON t.oid = s.oid WHERE t.typtype <> 'd' ORDER BY s.attnum, s.level
), leaf AS (
  SELECT DISTINCT ON (s.attnum) s.attnum, t.oid, t.typtype
  FROM step s JOIN pg_catalog.pg_type t ON t.oid = s.oid ORDER BY s.attnum, s.level DESC
), sortable AS (
  SELECT o.opcintype AS oid FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod
  WHERE m.amname = 'btree' AND o.opcdefault
)
SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, b.oid, b.typcategory AS category,
       CASE WHEN b.typtype = 'e' THEN pg_catalog.format_type(b.oid, NULL) END AS enum,
       l.typtype IN ('e', 'r', 'm') OR l.oid IN (SELECT oid FROM sortable) OR EXISTS (
         SELECT FROM pg_catalog.pg_cast k JOIN sortable s ON s.oid = k.casttarget
         WHERE k.castsource = l.oid AND k.castmethod = 'b' AND k.castcontext = 'i') AS sortable,
       EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.proname = 'min' AND p.proargtypes[0] = b.oid
         AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace) AS has_min,
       (SELECT nullif(s.n_distinct, 0)::float8 FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
        WHERE c.oid = a.attrelid ORDER BY s.inherited DESC LIMIT 1) AS n_distinct
FROM chosen a JOIN base b ON b.attnum = a.attnum JOIN leaf l ON l.attnum = a.attnum ORDER BY a.attnum"""
