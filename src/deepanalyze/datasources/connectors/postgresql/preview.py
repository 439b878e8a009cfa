"""The first rows of a relation. Blocking: for worker threads."""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

from collections.abc import Iterable

from deepanalyze.datasources.base import Column
from deepanalyze.datasources.capabilities import Table
from deepanalyze.datasources.connectors.postgresql import catalog
from deepanalyze.datasources.connectors.postgresql.catalog import Relation
from deepanalyze.datasources.connectors.postgresql.dtypes import BYTEA
from deepanalyze.datasources.connectors.postgresql.export import ColumnType
from deepanalyze.datasources.connectors.postgresql.identifiers import always_quoted
from deepanalyze.datasources.connectors.postgresql.scope import Scope, read_rows
from deepanalyze.datasources.connectors.postgresql.values import json_values, read_array_types
from deepanalyze.datasources.connectors.postgresql.wire import Wire
from deepanalyze.errors import InvalidRequest

MAX_ROWS = 1_000

_MAX_CHARS = 1_000
_MIN_CHARS = 50
_MAX_CHARS_OF_ALL = 16_000_000  # of a thousand rows of very many columns
# Types whose values are short whatever they are: numbers, times, and the like.
_SHORT = frozenset(
    {16, 18, 19, 20, 21, 23, 26, 700, 701, 1700, 1082, 1083, 1114, 1184, 1186, 1266, 2950, 790}
)
_TEXT, _BPCHAR, _VARCHAR = 25, 1042, 1043
_HEADER = 4  # is in the type modifier of a text besides its declared length


def preview(wire: Wire, path: str, scope: Scope, *, limit: int) -> Table:
    """Values whose text is longer than 1,000 characters are given as their beginning and an ellipsis, and cut by the
    server already: a few rows may hold gigabytes. Raises InvalidRequest for a limit outside of 1 to 1,000.
    """
    if not 1 <= limit <= MAX_ROWS:
        raise InvalidRequest(f"limit must be from 1 to {MAX_ROWS}, not {limit}", param="limit")
    relation = catalog.resolve(wire, path, scope)
    if not relation.columns:
        return Table((), (), truncated=False)
    types = read_rows(wire, _types(relation))
    described = wire.describe(_selected(relation, map(always_quoted, relation.columns)))
    max_chars = max(_MIN_CHARS, min(_MAX_CHARS, _MAX_CHARS_OF_ALL // (limit * len(described))))
    shown = [_shortened(column, max_chars) for column in described]
    rows, truncated = json_values(
        described,
        wire.rows(f"{_selected(relation, shown)} LIMIT {limit + 1}"),
        limit,
        arrays=read_array_types(wire, described),
        max_chars=max_chars,
    )
    return Table(tuple(Column(row["name"], row["type"]) for row in types), rows, truncated)


def _selected(relation: Relation, expressions: Iterable[str]) -> str:
    return f"SELECT {', '.join(expressions)} FROM {relation.sql}"


def _shortened(column: ColumnType, max_chars: int) -> str:
    """The column, or one character more than is shown of its text, by which `json_values` knows what was cut."""
    name, oid, modifier = column
    quoted = always_quoted(name)
    declared = modifier - _HEADER if oid in (_BPCHAR, _VARCHAR) else -1
    if oid in _SHORT or 0 < declared <= max_chars:
        return quoted
    if oid == BYTEA:  # whose text has an introduction of two characters, and two for each byte
        return f"pg_catalog.substring({quoted}, 1, {max_chars // 2 + 1})"
    if oid in (_TEXT, _VARCHAR, _BPCHAR):
        return f"pg_catalog.left({quoted}::pg_catalog.text, {max_chars + 1})"
    # As the type itself writes its values, which a cast to text need not do; of a row of NULLs too.
    return (
        f"CASE WHEN {quoted} IS DISTINCT FROM NULL "
        f"THEN pg_catalog.left(pg_catalog.format('%s', {quoted}), {max_chars + 1}) END"
    )


def _types(relation: Relation) -> str:
    return f"""
SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type
FROM pg_catalog.pg_attribute a WHERE a.attrelid = {relation.oid} AND a.attnum > 0 AND NOT a.attisdropped
  AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT') ORDER BY a.attnum"""
