"""The whole database at a glance, in a few questions whatever its size. Blocking: for worker threads."""
# ruff: noqa: S608 - what is composed here is our own text

from __future__ import annotations

from typing import Any

from deepanalyze.datasources.connectors.postgresql import catalog
from deepanalyze.datasources.connectors.postgresql.constraints import relationships
from deepanalyze.datasources.connectors.postgresql.identifiers import quoted
from deepanalyze.datasources.connectors.postgresql.relations import KINDS, described, read_relations
from deepanalyze.datasources.connectors.postgresql.scope import Scope, listed, read_rows
from deepanalyze.datasources.connectors.postgresql.wire import Wire


def overview(wire: Wire, scope: Scope) -> dict[str, Any]:
    """Of each relation what the list tells, its primary key, and each column's name, type, nullability and comment."""
    columns = {
        row["oid"]: [
            {"name": name, "type": type_, "nullable": nullable, "comment": comment}
            for name, type_, nullable, comment in zip(
                row["names"], row["types"], row["nullable"], row["comments"], strict=True
            )
        ]
        for row in read_rows(wire, _columns(scope))
    }
    keys = {row["oid"]: row["columns"] for row in read_rows(wire, _primary_keys(scope))}
    schemas: dict[str, dict[str, Any]] = {
        item.name: {"name": item.name, "comment": item.metadata["comment"], "relations": []}
        for item in catalog.schemas(wire, scope)
    }
    for row in read_relations(wire, scope):
        schemas[row["schema"]]["relations"].append(
            {
                "name": row["name"],
                "path": quoted(row["schema"], row["name"]),
                "kind": KINDS[row["kind"]],
                **described(row),
                "size": row["size"],
                "columns": columns.get(row["oid"], []),
                "primary_key": keys.get(row["oid"], []),
            }
        )
    return {"schemas": list(schemas.values()), "relationships": relationships(wire, scope)}


def _columns(scope: Scope) -> str:
    """A row for each relation: one for each column would take twice as long, and its objects the garbage collector."""
    return f"""
WITH chosen AS (
  SELECT c.oid, pg_catalog.has_table_privilege(c.oid, 'SELECT') AS whole
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {listed(scope)}
)
SELECT k.oid, pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) AS names,
       pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) AS types,
       pg_catalog.array_agg(NOT a.attnotnull ORDER BY a.attnum) AS nullable,
       pg_catalog.array_agg(d.description ORDER BY a.attnum) AS comments
FROM chosen k JOIN pg_catalog.pg_attribute a ON a.attrelid = k.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_description d
  ON d.objoid = k.oid AND d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = a.attnum
WHERE k.whole OR pg_catalog.has_column_privilege(k.oid, a.attnum, 'SELECT') GROUP BY k.oid"""


def _primary_keys(scope: Scope) -> str:
    return f"""
SELECT c.oid, pg_catalog.array_agg(a.attname::text ORDER BY u.n) AS columns
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL pg_catalog.unnest(k.conkey) WITH ORDINALITY u(attnum, n)
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.attnum
WHERE k.contype = 'p' AND {listed(scope)} GROUP BY c.oid"""
