"""What a database holds, as its catalogue tells: schemas, relations, and which of them a path means. Nothing is
counted. Blocking, but for `columns`: for worker threads.
"""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from deepanalyze.datasources.base import Column, DataItem
from deepanalyze.datasources.connectors.postgresql.export import ColumnType
from deepanalyze.datasources.connectors.postgresql.identifiers import (
    always_quoted,
    literal,
    parse_path,
    quoted,
)
from deepanalyze.datasources.connectors.postgresql.relations import KINDS, described, read_relations
from deepanalyze.datasources.connectors.postgresql.scope import (
    OWN_SCHEMA,
    READABLE,
    Scope,
    listed,
    read_rows,
)
from deepanalyze.datasources.connectors.postgresql.wire import Wire
from deepanalyze.errors import NotFound, TableNotFound


@dataclass(frozen=True, slots=True)
class Relation:
    """`columns` are those that the role may read; `whole` says that these are all."""

    oid: int
    schema: str
    name: str
    kind: str
    columns: tuple[str, ...]
    whole: bool
    comment: str | None = None

    @property
    def path(self) -> str:
        return quoted(self.schema, self.name)

    @property
    def sql(self) -> str:
        return always_quoted(self.schema, self.name)

    def select(self) -> str:
        """Everything that the role may read of it."""
        chosen = "*" if self.whole else ", ".join(map(always_quoted, self.columns))
        return f"SELECT {chosen} FROM {self.sql}"


def schemas(wire: Wire, scope: Scope) -> list[DataItem]:
    return [
        DataItem(
            name=row["name"],
            path=quoted(row["name"]),
            kind="schema",
            metadata={"comment": row["comment"], "relations": row["relations"]},
        )
        for row in read_rows(wire, _schemas(scope))
    ]


def relations(wire: Wire, scope: Scope, schema: str | None = None) -> list[DataItem]:
    """Those that the role may read, of one schema or of all. Raises NotFound with the nearest names."""
    found = read_relations(wire, scope, schema)
    if not found and schema is not None:
        known = [item.name for item in schemas(wire, scope)]
        if schema not in known:
            raise NotFound(
                f"source {scope.source!r}: there is no schema {schema!r}{_near(schema, known)}", param="path"
            )
    return [_item(row) for row in found]


def resolve(wire: Wire, path: str, scope: Scope) -> Relation:
    """Raises TableNotFound with the nearest names."""
    schema, name = parse_path(path)
    place = "pg_catalog.pg_table_is_visible(c.oid)" if schema is None else f"n.nspname = {literal(schema)}"
    for row in read_rows(wire, _resolve(scope, f"c.relname = {literal(name)} AND {place}")):
        return Relation(**{**row, "columns": tuple(row["columns"])})
    known = [quoted(row["schema"], row["name"]) for row in read_rows(wire, _names(scope))]
    raise TableNotFound(
        f"source {scope.source!r}: there is no table or view {path!r}, or its role may not read it"
        f"{_near(path, known)}",
        param="table",
    )


async def columns(connection: AsyncConnection[Any], described: Sequence[ColumnType]) -> tuple[Column, ...]:
    """On the event loop: a few names of types."""
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
        kind=KINDS[row["kind"]],
        size=row["size"],
        metadata=described(row),
    )


def _near(wanted: str, known: Sequence[str]) -> str:
    by_ending = {path.rpartition(".")[2]: path for path in known} | {path: path for path in known}
    close = difflib.get_close_matches(wanted, by_ending, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(dict.fromkeys(by_ending[name] for name in close))}?" if close else ""


def _schemas(scope: Scope) -> str:
    return f"""
SELECT n.nspname AS name, pg_catalog.obj_description(n.oid, 'pg_namespace') AS comment, count(c.oid) AS relations
FROM pg_catalog.pg_namespace n
LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND {listed(scope)}
WHERE {OWN_SCHEMA} AND {scope.holds("n.nspname")} AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
GROUP BY n.oid, n.nspname ORDER BY n.nspname"""


def _resolve(scope: Scope, condition: str) -> str:
    return f"""
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AS whole,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT') ORDER BY a.attnum) AS columns,
       pg_catalog.obj_description(c.oid, 'pg_class') AS comment
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE {READABLE} AND {scope.holds("n.nspname")} AND {condition}"""


def _names(scope: Scope) -> str:
    return f"""
SELECT n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE {listed(scope)} ORDER BY n.nspname, c.relname"""


_TYPE_NAMES = """
SELECT pg_catalog.format_type(t.oid, t.modifier) FROM unnest(%(oids)s::oid[], %(modifiers)s::int[])
WITH ORDINALITY AS t(oid, modifier, n) ORDER BY t.n
"""
