"""How much of a source is looked at, and the way its catalogue is read. Blocking: for worker threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg.adapt import Transformer
from psycopg.pq.abc import PGresult

from deepanalyze.datasources.connectors.postgresql.config import PostgresConfig
from deepanalyze.datasources.connectors.postgresql.identifiers import literal
from deepanalyze.datasources.connectors.postgresql.wire import Wire

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Scope:
    """How much of which source is looked at. `schemas`: nothing outside of them; None: everything the role may read.
    `version` is the server's, as libpq gives it: 100023, 180001.
    """

    source: str
    version: int
    schemas: tuple[str, ...] | None = None

    @classmethod
    def of(cls, config: PostgresConfig, connection: AsyncConnection[Any], source: str) -> Scope:
        schemas = None if config.schemas is None else tuple(config.schemas)
        return cls(source, connection.info.server_version, schemas)

    def holds(self, schema: str) -> str:
        """As SQL, about the column that is named."""
        if self.schemas is None:
            return "true"
        return f"{schema} IN ({', '.join(map(literal, self.schemas))})" if self.schemas else "false"

    @property
    def counted(self) -> str:
        """As SQL: whether the server has ever counted the rows of the relation `c`."""
        return "c.reltuples >= 0" if self.version >= 140000 else "(c.reltuples > 0 OR c.relpages > 0)"


# Of a relation `c` in a schema `n`.
READABLE = """(c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
AND (pg_catalog.has_table_privilege(c.oid, 'SELECT') OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT')))"""
OWN_SCHEMA = "(n.nspname !~ '^pg_(toast|temp)' AND n.nspname NOT IN ('pg_catalog', 'information_schema'))"


def listed(scope: Scope) -> str:
    """As SQL: whether the relation `c` of the schema `n` is listed. Partitions are not, unless their parent cannot be
    read and so cannot tell of them.
    """
    return f"""({READABLE} AND {OWN_SCHEMA} AND {scope.holds("n.nspname")} AND (NOT c.relispartition OR NOT EXISTS (
      SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
      JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
      WHERE i.inhrelid = c.oid AND {scope.holds("pn.nspname")}
        AND pg_catalog.has_schema_privilege(pn.oid, 'USAGE')
        AND (pg_catalog.has_table_privilege(p.oid, 'SELECT')
             OR pg_catalog.has_any_column_privilege(p.oid, 'SELECT')))))"""


def read_rows(wire: Wire, sql: str) -> Rows:
    """What the catalogue says."""
    return [row for result in wire.ask(sql) for row in _loaded(result)]


def _loaded(result: PGresult) -> Rows:
    names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
    transformer = Transformer()
    transformer.set_pgresult(result)
    rows = transformer.load_rows(0, result.ntuples, tuple)
    return [dict(zip(names, values, strict=True)) for values in rows]
