"""What a database holds, as its catalogue tells: schemas, relations, columns, constraints. Nothing is counted."""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from deepanalyze.datasources.base import Column, DataItem, ItemKind
from deepanalyze.datasources.connectors.postgresql.export import ColumnType
from deepanalyze.datasources.connectors.postgresql.identifiers import parse_path, quoted
from deepanalyze.errors import NotFound, TableNotFound

_KINDS: Mapping[str, ItemKind] = {
    "r": "table",
    "p": "table",
    "v": "view",
    "m": "materialized_view",
    "f": "foreign_table",
}

_READABLE = """
c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
AND (pg_catalog.has_table_privilege(c.oid, 'SELECT') OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT'))
"""
_VISIBLE_SCHEMA = "n.nspname !~ '^pg_(toast|temp)' AND n.nspname NOT IN ('pg_catalog', 'information_schema')"

_SCHEMAS = f"""
SELECT n.nspname AS name, pg_catalog.obj_description(n.oid, 'pg_namespace') AS comment, count(c.oid) AS relations
FROM pg_catalog.pg_namespace n
LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND NOT c.relispartition AND {_READABLE}
WHERE {_VISIBLE_SCHEMA} AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
GROUP BY n.oid, n.nspname ORDER BY n.nspname
"""
_RELATIONS = f"""
SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind,
       pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
       CASE WHEN c.relkind IN ('r', 'm', 'p') AND c.reltuples >= 0 THEN c.reltuples::bigint END AS estimated_rows,
       CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_total_relation_size(c.oid) END AS size
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE {_READABLE} AND NOT c.relispartition AND {_VISIBLE_SCHEMA}
  AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
ORDER BY n.nspname, c.relname
"""
_RESOLVE = f"""
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
       pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
       CASE WHEN c.relkind IN ('r', 'm', 'p') AND c.reltuples >= 0 THEN c.reltuples::bigint END AS estimated_rows,
       CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_total_relation_size(c.oid) END AS size
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE {_READABLE} AND c.relname = %(name)s
  AND (n.nspname = %(schema)s OR %(schema)s::text IS NULL AND pg_catalog.pg_table_is_visible(c.oid))
"""
_COLUMNS = """
SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable,
       pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS "default",
       pg_catalog.col_description(a.attrelid, a.attnum) AS comment,
       row_number() OVER (ORDER BY a.attnum)::int AS ordinal
FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_CONSTRAINTS = """
SELECT k.conname AS name, k.contype AS kind, pg_catalog.pg_get_constraintdef(k.oid) AS definition,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(attnum, n)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY u.n) AS columns,
       fn.nspname AS to_schema, f.relname AS to_table,
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(attnum, n)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum
             ORDER BY u.n) AS to_columns
FROM pg_catalog.pg_constraint k LEFT JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
LEFT JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
WHERE k.conrelid = %(oid)s AND k.contype IN ('p', 'f', 'u', 'c') ORDER BY k.conname
"""
_INDEXES = """
SELECT c.relname AS name, i.indisunique AS unique, i.indisprimary AS primary, m.amname AS method,
       pg_catalog.pg_get_indexdef(i.indexrelid) AS definition
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = c.relam
WHERE i.indrelid = %(oid)s ORDER BY c.relname
"""
_TYPE_NAMES = """
SELECT pg_catalog.format_type(t.oid, t.modifier) FROM unnest(%(oids)s::oid[], %(modifiers)s::int[])
WITH ORDINALITY AS t(oid, modifier, n) ORDER BY t.n
"""

Rows = list[dict[str, Any]]


async def schemas(connection: AsyncConnection[Any]) -> list[DataItem]:
    return [
        DataItem(
            name=row["name"],
            path=quoted(row["name"]),
            kind="schema",
            metadata={"comment": row["comment"], "relations": row["relations"]},
        )
        for row in await _rows(connection, _SCHEMAS)
    ]


async def relations(connection: AsyncConnection[Any], schema: str | None, source: str) -> list[DataItem]:
    """The relations that the role may read, of one schema or of all."""
    found = [_item(row) for row in await _rows(connection, _RELATIONS, schema=schema)]
    if not found and schema is not None:
        known = [row["name"] for row in await _rows(connection, _SCHEMAS)]
        if schema not in known:
            raise NotFound(
                f"source {source!r}: there is no schema {schema!r}{_near(schema, known)}", param="path"
            )
    return found


async def resolve(connection: AsyncConnection[Any], path: str, source: str) -> dict[str, Any]:
    """The relation's row in the catalogue. Raises TableNotFound with the nearest names."""
    schema, name = parse_path(path)
    found = await _rows(connection, _RESOLVE, schema=schema, name=name)
    if found:
        return found[0]
    known = [item.path for item in (_item(row) for row in await _rows(connection, _RELATIONS, schema=None))]
    raise TableNotFound(
        f"source {source!r}: there is no table or view {path!r}, or its role may not read it{_near(path, known)}",
        param="table",
    )


async def describe(connection: AsyncConnection[Any], path: str, source: str) -> dict[str, Any]:
    relation = await resolve(connection, path, source)
    oid = relation["oid"]
    constraints = await _rows(connection, _CONSTRAINTS, oid=oid)
    by_kind = {kind: [c for c in constraints if c["kind"] == kind] for kind in "pfuc"}
    return {
        "name": relation["name"],
        "path": quoted(relation["schema"], relation["name"]),
        "schema": relation["schema"],
        "kind": _KINDS[relation["kind"]],
        "comment": relation["comment"],
        "columns": await _rows(connection, _COLUMNS, oid=oid),
        "primary_key": by_kind["p"][0]["columns"] if by_kind["p"] else [],
        "foreign_keys": [
            {
                "name": c["name"],
                "columns": c["columns"],
                "references": {"schema": c["to_schema"], "table": c["to_table"], "columns": c["to_columns"]},
            }
            for c in by_kind["f"]
        ],
        "unique_constraints": [{"name": c["name"], "columns": c["columns"]} for c in by_kind["u"]],
        "check_constraints": [{"name": c["name"], "definition": c["definition"]} for c in by_kind["c"]],
        "indexes": await _rows(connection, _INDEXES, oid=oid),
        "estimated_rows": relation["estimated_rows"],
        "size": relation["size"],
    }


async def columns(connection: AsyncConnection[Any], described: Sequence[ColumnType]) -> tuple[Column, ...]:
    found = await connection.execute(
        _TYPE_NAMES,
        {"oids": [oid for _, oid, _ in described], "modifiers": [modifier for *_, modifier in described]},
    )
    names = [row[0] for row in await found.fetchall()]
    return tuple(Column(name, type_name) for (name, *_), type_name in zip(described, names, strict=True))


def _item(row: Mapping[str, Any]) -> DataItem:
    return DataItem(
        name=row["name"],
        path=quoted(row["schema"], row["name"]),
        kind=_KINDS[row["kind"]],
        size=row["size"],
        metadata={
            "schema": row["schema"],
            "comment": row["comment"],
            "estimated_rows": row["estimated_rows"],
        },
    )


def _near(wanted: str, known: Sequence[str]) -> str:
    by_ending = {path.rpartition(".")[2]: path for path in known} | {path: path for path in known}
    close = difflib.get_close_matches(wanted, by_ending, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(dict.fromkeys(by_ending[name] for name in close))}?" if close else ""


async def _rows(connection: AsyncConnection[Any], query: str, **parameters: Any) -> Rows:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, parameters or None)
        return await cursor.fetchall()
