"""Relations with what the catalogue knows of their rows and sizes. Blocking: for worker threads."""
# ruff: noqa: S608 - what is composed here is our own text

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepanalyze.datasources.base import ItemKind
from deepanalyze.datasources.connectors.postgresql.identifiers import literal
from deepanalyze.datasources.connectors.postgresql.scope import Rows, Scope, listed, read_rows
from deepanalyze.datasources.connectors.postgresql.wire import Wire

KINDS: Mapping[str, ItemKind] = {
    "r": "table",
    "p": "table",
    "v": "view",
    "m": "materialized_view",
    "f": "foreign_table",
}

# Each size takes a lock and a few system calls; of more relations, the catalogue's own page counts have to do.
_SIZED_RELATIONS = 1_000


def read_relations(wire: Wire, scope: Scope, schema: str | None = None) -> Rows:
    of_schema = "true" if schema is None else f"n.nspname = {literal(schema)}"
    found = read_rows(wire, _relations(scope, f"{listed(scope)} AND {of_schema}"))
    if len(found) <= _SIZED_RELATIONS:
        add_sizes(wire, found)
    return found


def measures(wire: Wire, scope: Scope, oids: Sequence[int]) -> Rows:
    """The same rows of certain relations, listed or not."""
    if not oids:
        return []
    found = read_rows(wire, _relations(scope, f"c.oid IN ({', '.join(map(str, oids))})"))
    if len(found) <= _SIZED_RELATIONS:
        add_sizes(wire, found)
    return found


def add_sizes(wire: Wire, found: Rows) -> None:
    """True sizes instead of those that the last VACUUM or ANALYZE left in the catalogue."""
    wanted = ", ".join(str(row["oid"]) for row in found if row["size"] is not None)
    if wanted:
        sizes = {row["oid"]: row["size"] for row in read_rows(wire, _SIZES.format(oids=wanted))}
        for row in found:
            row["size"] = sizes.get(row["oid"], row["size"])


def described(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the list tells of a relation besides its name and size."""
    told = {key: row[key] for key in ("schema", "comment", "estimated_rows")}
    if row["kind"] == "p":
        told["partitions"] = row["partitions"]
    if row["kind"] == "f":
        told["server"] = row["server"]
    return told


def _relations(scope: Scope, condition: str) -> str:
    """A partitioned table stores nothing itself: its rows and pages are those of the partitions below it. Without a
    size are those that store nothing here at all.
    """
    return f"""
WITH RECURSIVE chosen AS (
  SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {condition}
), tree(root, oid, relkind) AS (
  SELECT oid, oid, relkind FROM chosen
  UNION ALL
  SELECT t.root, c.oid, c.relkind FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE t.relkind = 'p'
), stored AS (
  SELECT t.root, sum(CASE WHEN {scope.counted} THEN c.reltuples::float8 END) AS rows, count(c.oid) AS leaves,
         coalesce(sum(c.relpages::int8 + coalesce(o.relpages, 0) + coalesce(x.pages, 0))
                  FILTER (WHERE c.relkind <> 'f'), 0) AS pages
  FROM tree t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.oid AND c.relkind <> 'p'
  LEFT JOIN pg_catalog.pg_class o ON o.oid = c.reltoastrelid
  LEFT JOIN LATERAL (SELECT sum(x.relpages) AS pages FROM pg_catalog.pg_index i
                     JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid) x ON true
  GROUP BY t.root
)
SELECT k.oid, k.nspname AS schema, k.relname AS name, k.relkind AS kind, d.description AS comment,
       CASE WHEN k.relkind <> 'v' THEN s.rows::int8 END AS estimated_rows,
       CASE WHEN k.relkind IN ('r', 'm', 'p')
            THEN (s.pages * pg_catalog.current_setting('block_size')::int8)::int8 END AS size,
       s.leaves AS partitions, f.srvname AS server
FROM chosen k JOIN stored s ON s.root = k.oid
LEFT JOIN pg_catalog.pg_description d
  ON d.objoid = k.oid AND d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0
LEFT JOIN pg_catalog.pg_foreign_table ft ON ft.ftrelid = k.oid
LEFT JOIN pg_catalog.pg_foreign_server f ON f.oid = ft.ftserver
ORDER BY k.nspname, k.relname"""


# One that somebody has locked, or waits to lock, would keep the whole list waiting.
_SIZES = """
WITH RECURSIVE tree(root, oid, relkind) AS (
  SELECT c.oid, c.oid, c.relkind FROM pg_catalog.pg_class c WHERE c.oid IN ({oids})
  UNION ALL
  SELECT t.root, c.oid, c.relkind FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE t.relkind = 'p'
), locked AS (
  SELECT DISTINCT relation FROM pg_catalog.pg_locks
  WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock'
    AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
), free AS (
  SELECT root FROM tree t LEFT JOIN locked l ON l.relation = t.oid GROUP BY root HAVING count(l.relation) = 0
)
SELECT t.root AS oid, sum(pg_catalog.pg_total_relation_size(t.oid))::int8 AS size
FROM tree t JOIN free f ON f.root = t.root GROUP BY t.root"""
