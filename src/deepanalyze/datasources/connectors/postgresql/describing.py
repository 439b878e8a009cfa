"""Everything that the catalogue knows of one relation. Blocking: for worker threads.

What the role may not read is left out of the columns, for it cannot be asked for; keys, constraints and indexes are
told whole, since they say what the rows are like. Nothing outside the scope's schemas is named.
"""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

from typing import Any

from deepanalyze.datasources.connectors.postgresql import catalog
from deepanalyze.datasources.connectors.postgresql.catalog import Relation
from deepanalyze.datasources.connectors.postgresql.constraints import constraints, referenced_by
from deepanalyze.datasources.connectors.postgresql.identifiers import quoted
from deepanalyze.datasources.connectors.postgresql.relations import KINDS, measures
from deepanalyze.datasources.connectors.postgresql.scope import READABLE, Rows, Scope, read_rows
from deepanalyze.datasources.connectors.postgresql.wire import Wire


def describe(wire: Wire, path: str, scope: Scope) -> dict[str, Any]:
    relation = catalog.resolve(wire, path, scope)
    measured = measures(wire, scope, [relation.oid])
    return {
        "name": relation.name,
        "path": relation.path,
        "schema": relation.schema,
        "kind": KINDS[relation.kind],
        "comment": relation.comment,
        "columns": _columns(wire, relation, scope),
        **constraints(wire, relation.oid, scope),
        "referenced_by": referenced_by(wire, relation.oid, scope),
        "indexes": read_rows(wire, _indexes(relation, scope)),
        "estimated_rows": measured[0]["estimated_rows"] if measured else None,
        "size": measured[0]["size"] if measured else None,
        **_particulars(wire, relation, scope, measured),
    }


def _columns(wire: Wire, relation: Relation, scope: Scope) -> Rows:
    readable = set(relation.columns)
    return [row for row in read_rows(wire, _columns_query(relation, scope)) if row["name"] in readable]


def _particulars(wire: Wire, relation: Relation, scope: Scope, measured: Rows) -> dict[str, Any]:
    """What only relations of some kinds have."""
    told: dict[str, Any] = {}
    if relation.kind in "vm":
        told["definition"] = read_rows(wire, _DEFINITION.format(oid=relation.oid))[0]["definition"]
    if relation.kind == "f" and measured:
        told["server"] = measured[0]["server"]
    if relation.kind == "p":
        told["partitioned_by"] = read_rows(wire, _PARTITION_KEY.format(oid=relation.oid))[0]["key"]
        told["partitions"] = _partitions(wire, relation, scope)
    for parent in read_rows(wire, _parent(relation, scope)):
        told["partition_of"] = {
            "name": parent["name"],
            "path": quoted(parent["schema"], parent["name"]),
            "bound": parent["bound"],
        }
    return told


def _partitions(wire: Wire, relation: Relation, scope: Scope) -> Rows:
    bounds = {row["oid"]: row["bound"] for row in read_rows(wire, _below(relation, scope))}
    return [
        {
            "name": row["name"],
            "path": quoted(row["schema"], row["name"]),
            "kind": KINDS[row["kind"]],
            "bound": bounds[row["oid"]],
            "estimated_rows": row["estimated_rows"],
            "size": row["size"],
        }
        for row in measures(wire, scope, list(bounds))
    ]


def _columns_query(relation: Relation, scope: Scope) -> str:
    """`labels` are those of an enum, also behind domains and arrays. What computes a generated column stands where the
    catalogue keeps defaults.
    """
    generated = "a.attgenerated" if scope.version >= 120000 else "''"
    return f"""
WITH RECURSIVE base(attnum, oid) AS (
  SELECT a.attnum, a.atttypid FROM pg_catalog.pg_attribute a
  WHERE a.attrelid = {relation.oid} AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT b.attnum, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END
  FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid
  WHERE t.typtype = 'd' OR t.typelem <> 0 AND t.typcategory = 'A'
), enum(attnum, labels) AS (
  SELECT b.attnum, pg_catalog.array_agg(l.enumlabel::text ORDER BY l.enumsortorder)
  FROM base b JOIN pg_catalog.pg_enum l ON l.enumtypid = b.oid GROUP BY b.attnum
)
SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable,
       CASE WHEN {generated} = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END AS "default",
       pg_catalog.col_description(a.attrelid, a.attnum) AS comment,
       row_number() OVER (ORDER BY a.attnum)::int4 AS ordinal,
       CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END AS identity,
       CASE WHEN {generated} <> '' THEN pg_catalog.json_build_object(
         'expression', pg_catalog.pg_get_expr(d.adbin, d.adrelid),
         'kind', CASE {generated} WHEN 'v' THEN 'virtual' ELSE 'stored' END) END AS generated,
       e.labels
FROM pg_catalog.pg_attribute a
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN enum e ON e.attnum = a.attnum
WHERE a.attrelid = {relation.oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""


def _indexes(relation: Relation, scope: Scope) -> str:
    keys = "i.indnkeyatts" if scope.version >= 110000 else "i.indnatts"
    return f"""
SELECT c.relname AS name, i.indisunique AS unique, i.indisprimary AS primary, m.amname AS method,
       ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, n::int4, true)
             FROM pg_catalog.generate_series(1, {keys}::int4) n ORDER BY n) AS columns,
       pg_catalog.pg_get_indexdef(i.indexrelid) AS definition
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = c.relam WHERE i.indrelid = {relation.oid} ORDER BY c.relname"""


def _below(relation: Relation, scope: Scope) -> str:
    return f"""
SELECT c.oid, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = {relation.oid} AND {READABLE} AND {scope.holds("n.nspname")}"""


def _parent(relation: Relation, scope: Scope) -> str:
    return f"""
SELECT n.nspname AS schema, c.relname AS name, pg_catalog.pg_get_expr(o.relpartbound, o.oid) AS bound
FROM pg_catalog.pg_class o JOIN pg_catalog.pg_inherits i ON i.inhrelid = o.oid
JOIN pg_catalog.pg_class c ON c.oid = i.inhparent JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE o.oid = {relation.oid} AND o.relispartition AND {scope.holds("n.nspname")}"""


_DEFINITION = "SELECT pg_catalog.pg_get_viewdef({oid}::pg_catalog.oid, true) AS definition"
_PARTITION_KEY = "SELECT pg_catalog.pg_get_partkeydef({oid}::pg_catalog.oid) AS key"
