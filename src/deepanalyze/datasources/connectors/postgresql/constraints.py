"""Keys and other constraints, of one relation or between all. Blocking: for worker threads."""
# ruff: noqa: S608 - what is composed here is our own text

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepanalyze.datasources.connectors.postgresql.scope import Rows, Scope, listed, read_rows
from deepanalyze.datasources.connectors.postgresql.wire import Wire


def constraints(wire: Wire, oid: int, scope: Scope) -> dict[str, Any]:
    found = read_rows(wire, _CONSTRAINTS.format(oid=oid))
    by_kind = {kind: [row for row in found if row["kind"] == kind] for kind in "pucx"}
    return {
        "primary_key": by_kind["p"][0]["columns"] if by_kind["p"] else [],
        "foreign_keys": [
            {
                "name": key["name"],
                "columns": key["from_columns"],
                "references": _end(key, "to"),
                "on_update": key["on_update"],
                "on_delete": key["on_delete"],
            }
            for key in read_rows(wire, _foreign_keys_of(oid, scope))
        ],
        "unique_constraints": _told(by_kind["u"]),
        "check_constraints": _told(by_kind["c"]),
        "exclusion_constraints": _told(by_kind["x"]),
    }


def referenced_by(wire: Wire, oid: int, scope: Scope) -> Rows:
    """The foreign keys of listed relations that point here."""
    keys = read_rows(wire, _foreign_keys_to(oid, scope))
    return [{"name": key["name"], "columns": key["to_columns"], "from": _end(key, "from")} for key in keys]


def relationships(wire: Wire, scope: Scope) -> Rows:
    """The foreign keys both ends of which are listed, in whichever schemas they are."""
    keys = read_rows(wire, _all_foreign_keys(scope))
    return [{"name": key["name"], "from": _end(key, "from"), "to": _end(key, "to")} for key in keys]


def _end(key: Mapping[str, Any], end: str) -> dict[str, Any]:
    return {"schema": key[f"{end}_schema"], "table": key[f"{end}_table"], "columns": key[f"{end}_columns"]}


def _told(rows: Rows) -> Rows:
    return [{key: row[key] for key in ("name", "columns", "definition")} for row in rows]


def _foreign_keys_of(oid: int, scope: Scope) -> str:
    """A key to a partitioned table has others below it, one to each partition."""
    below = (
        "EXISTS (SELECT FROM pg_catalog.pg_constraint p WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid)"
        if scope.version >= 110000
        else "false"
    )
    return _foreign_keys(f"k.conrelid = {oid} AND NOT {below} AND {scope.holds('tn.nspname')}")


def _foreign_keys_to(oid: int, scope: Scope) -> str:
    return _foreign_keys(f"k.confrelid = {oid} AND {_is_listed('k.conrelid', scope)}")


def _all_foreign_keys(scope: Scope) -> str:
    ends = f"{_is_listed('k.conrelid', scope)} AND {_is_listed('k.confrelid', scope)}"
    return _foreign_keys(ends)


def _is_listed(oid: str, scope: Scope) -> str:
    return (
        f"{oid} IN (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        f"WHERE {listed(scope)})"
    )


def _names(relation: str, numbers: str) -> str:
    return f"""ARRAY(SELECT a.attname::text FROM pg_catalog.unnest({numbers}) WITH ORDINALITY u(attnum, n)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = {relation} AND a.attnum = u.attnum ORDER BY u.n)"""


def _action(column: str) -> str:
    return f"""CASE {column} WHEN 'c' THEN 'CASCADE' WHEN 'r' THEN 'RESTRICT' WHEN 'n' THEN 'SET NULL'
             WHEN 'd' THEN 'SET DEFAULT' ELSE 'NO ACTION' END"""


def _foreign_keys(condition: str) -> str:
    return f"""
SELECT k.conname AS name, fn.nspname AS from_schema, f.relname AS from_table, tn.nspname AS to_schema,
       t.relname AS to_table, {_names("k.conrelid", "k.conkey")} AS from_columns,
       {_names("k.confrelid", "k.confkey")} AS to_columns,
       {_action("k.confupdtype")} AS on_update, {_action("k.confdeltype")} AS on_delete
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class f ON f.oid = k.conrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
JOIN pg_catalog.pg_class t ON t.oid = k.confrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE k.contype = 'f' AND {condition} ORDER BY fn.nspname, f.relname, k.conname"""


_CONSTRAINTS = f"""
SELECT k.conname AS name, k.contype AS kind, pg_catalog.pg_get_constraintdef(k.oid) AS definition,
       {_names("k.conrelid", "k.conkey")} AS columns
FROM pg_catalog.pg_constraint k
WHERE k.conrelid = {{oid}} AND k.contype IN ('p', 'u', 'c', 'x') ORDER BY k.conname"""
