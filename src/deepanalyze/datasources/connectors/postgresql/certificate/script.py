"""The SQL that makes a credential which needs no guard: it can read what this one reads, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, LiteralString

from psycopg.rows import dict_row

from deepanalyze.datasources.connectors.postgresql.connecting import Connection
from deepanalyze.datasources.connectors.postgresql.identifiers import always_quoted, quoted

ROLE = "deepanalyze_reader"
_MAX_TABLES = 1_000

_TABLES: LiteralString = """
SELECT n.nspname AS schema, c.relname AS name, r.rolname AS owner,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AS whole,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
             AND NOT a.attisdropped AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')
             ORDER BY a.attnum) AS columns
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
  AND (%(schemas)s::text[] IS NULL OR n.nspname = ANY (%(schemas)s))
ORDER BY n.nspname, c.relname
"""
# What everybody may do unless it is taken back, and which the reader must not.
_OF_PUBLIC: LiteralString = """
SELECT 'database' AS kind, d.datname AS name, NULL AS signature FROM pg_catalog.pg_database d,
       pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
WHERE d.datname = pg_catalog.current_database() AND a.grantee = 0 AND a.privilege_type = 'TEMPORARY'
UNION ALL
SELECT 'schema', n.nspname, NULL FROM pg_catalog.pg_namespace n,
       pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a
WHERE n.nspname !~ '^pg_' AND a.grantee = 0 AND a.privilege_type = 'CREATE'
UNION ALL
SELECT 'function', p.proname, p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p,
       pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND a.grantee = 0 AND a.privilege_type = 'EXECUTE'
  AND p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea')
UNION ALL
SELECT 'definer', p.proname, p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace,
       pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
WHERE p.prosecdef AND p.oid >= 16384 AND a.grantee = 0 AND a.privilege_type = 'EXECUTE'
UNION ALL
SELECT 'dblink', p.proname, p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
  AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'dblink',
       pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
WHERE p.proname IN ('dblink', 'dblink_exec', 'dblink_connect', 'dblink_connect_u')
  AND a.grantee = 0 AND a.privilege_type = 'EXECUTE'
ORDER BY 1, 2, 3
"""
_WHY = {
    "database": "-- temporary tables; who else needs them is granted them by name",
    "schema": "-- everybody could make tables here (the default before PostgreSQL 15)",
    "function": "-- large objects need no right of their own but these functions' (needs a superuser)",
    "dblink": "-- runs SQL in other databases; grant it to those who are meant to",
    "definer": "-- runs with its owner's rights; grant it to those who are meant to call it",
}


async def grant_script(
    connection: Connection, database: str, schemas: Sequence[str] | None, timeout_s: float
) -> str:
    """For an owner of the database or an administrator to run.

    Args:
        schemas: those that the source is limited to; None for all that it can read.
    """
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(_TABLES, {"schemas": None if schemas is None else list(schemas)})
            tables = await cursor.fetchall()
            await cursor.execute(_OF_PUBLIC)
            of_public = await cursor.fetchall()
    return "\n".join(
        [
            "-- A credential that can read what this source reads, and nothing else. Choose the password.",
            f"CREATE ROLE {ROLE} LOGIN PASSWORD 'choose-a-long-password'",
            "  NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;",
            "-- Defaults that a session could change; they guard against mistakes, the grants against everything else.",
            f"ALTER ROLE {ROLE} SET default_transaction_read_only = on;",
            f"ALTER ROLE {ROLE} SET statement_timeout = '{max(1, round(timeout_s))}s';",
            "",
            "-- What every role may do unless it is taken back.",
            *_revoked(of_public),
            "",
            "-- What it may read: what the present credential reads today.",
            f"GRANT CONNECT ON DATABASE {always_quoted(database)} TO {ROLE};",
            *_granted(tables),
            "",
        ]
    )


def _revoked(of_public: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in of_public:
        yield _WHY[row["kind"]]
        match row["kind"]:
            case "database":
                yield f"REVOKE TEMPORARY ON DATABASE {always_quoted(row['name'])} FROM PUBLIC;"
            case "schema":
                yield f"REVOKE CREATE ON SCHEMA {quoted(row['name'])} FROM PUBLIC;"
            case _:
                yield f"REVOKE EXECUTE ON FUNCTION {row['signature']} FROM PUBLIC;"


def _granted(tables: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for schema, group in groupby(tables, key=lambda row: row["schema"]):
        there = list(group)
        readable = [row for row in there if row["columns"]]
        if not readable:
            continue
        yield f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {ROLE};"
        if len(readable) == len(there) and all(row["whole"] for row in there):
            yield f"GRANT SELECT ON ALL TABLES IN SCHEMA {quoted(schema)} TO {ROLE};"
            yield "-- and on the tables to come:"
            for owner in sorted({row["owner"] for row in there}):
                yield (
                    f"ALTER DEFAULT PRIVILEGES FOR ROLE {quoted(owner)} IN SCHEMA {quoted(schema)} "
                    f"GRANT SELECT ON TABLES TO {ROLE};"
                )
            continue
        for row in readable[:_MAX_TABLES]:
            columns = "" if row["whole"] else f" ({', '.join(quoted(name) for name in row['columns'])})"
            yield f"GRANT SELECT{columns} ON {quoted(row['schema'], row['name'])} TO {ROLE};"
        if len(readable) > _MAX_TABLES:
            yield f"-- and {len(readable) - _MAX_TABLES} more tables of this schema"
