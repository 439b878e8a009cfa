"""The SQL that makes a credential which needs no guard: it can read what this one reads, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import count, groupby
from typing import Any, LiteralString

from psycopg.rows import dict_row

from deepanalyze.datasources.connectors.postgresql.certificate.revocations import revocations
from deepanalyze.datasources.connectors.postgresql.certificate.rights import READ_CATALOGUE
from deepanalyze.datasources.connectors.postgresql.connecting import Connection
from deepanalyze.datasources.connectors.postgresql.identifiers import always_quoted, quoted

ROLE = "deepanalyze_reader"
_MAX_TABLES = 1_000

_TABLES: LiteralString = """
SELECT n.nspname AS schema, c.relname AS name, r.rolname AS owner,
       has_table_privilege(c.oid, 'SELECT') AS whole, c.relrowsecurity AS has_policies,
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
             AND NOT a.attisdropped AND has_column_privilege(c.oid, a.attnum, 'SELECT')
             ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND has_schema_privilege(n.oid, 'USAGE')
  AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY (%(schemas)s))
ORDER BY n.nspname, c.relname
"""
_TAKEN: LiteralString = "SELECT r.rolname AS name FROM pg_roles r"


async def grant_script(
    connection: Connection, database: str, schemas: Sequence[str] | None, timeout_s: float
) -> str:
    """For an owner of the database or an administrator to run.

    Args:
        schemas: those that the source is limited to; None for all that it can read.
    """
    async with connection.transaction():
        await connection.execute(READ_CATALOGUE)
        revoked = await revocations(connection)
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(_TABLES, {"schemas": None if schemas is None else list(schemas)})
            tables = await cursor.fetchall()
            await cursor.execute(_TAKEN)
            role = _free_name({row["name"] for row in await cursor.fetchall()})
    return "\n".join(
        [
            "-- A credential that can read what this source reads, and nothing else. Choose the password.",
            f"CREATE ROLE {role} LOGIN PASSWORD 'choose-a-long-password'",
            "  NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;",
            "-- Defaults that a session could change; they guard against mistakes, the grants against everything else.",
            f"ALTER ROLE {role} SET default_transaction_read_only = on;",
            f"ALTER ROLE {role} SET statement_timeout = '{max(1, round(timeout_s))}s';",
            "",
            "-- What every role may do unless it is taken back. Look through it: others may rely on it.",
            *revoked,
            "",
            "-- What it may read: what the present credential reads today.",
            f"GRANT CONNECT ON DATABASE {always_quoted(database)} TO {role};",
            *_granted(tables, role),
            "",
        ]
    )


def _free_name(taken: Set[str]) -> str:
    """Roles are the whole cluster's: that of another of its databases may be there already."""
    return next(name for n in count(1) if (name := ROLE if n == 1 else f"{ROLE}_{n}") not in taken)


def _granted(tables: Sequence[Mapping[str, Any]], role: str) -> Iterator[str]:
    for schema, group in groupby(tables, key=lambda row: row["schema"]):
        there = list(group)
        readable = [row for row in there if row["columns"]]
        if not readable:
            continue
        # No names here: one may hold a line break
        if filtered := sum(row["has_policies"] for row in readable):
            yield f"-- {filtered} of its tables have policies, which choose rows by role; see that they suit this one"
        yield f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {role};"
        if len(readable) == len(there) and all(row["whole"] for row in there):
            yield f"GRANT SELECT ON ALL TABLES IN SCHEMA {quoted(schema)} TO {role};"
            yield "-- and on the tables to come:"
            for owner in sorted({row["owner"] for row in there}):
                yield (
                    f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(owner)} IN SCHEMA {quoted(schema)} "
                    f"GRANT SELECT ON TABLES TO {role};"
                )
            continue
        for row in readable[:_MAX_TABLES]:
            columns = "" if row["whole"] else f" ({', '.join(quoted(name) for name in row['columns'])})"
            yield f"GRANT SELECT{columns} ON {quoted(row['schema'], row['name'])} TO {role};"
        if len(readable) > _MAX_TABLES:
            yield f"-- and {len(readable) - _MAX_TABLES} more tables of this schema"
