"""What the catalogue says of a credential: attributes, memberships, rights on what others made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg.rows import dict_row

from deepanalyze.datasources.capabilities import Finding
from deepanalyze.datasources.connectors.postgresql.certificate.probes import GUARD, GUARD_CALL, READ_ONLY
from deepanalyze.datasources.connectors.postgresql.connecting import Connection
from deepanalyze.datasources.connectors.postgresql.identifiers import quoted

_EXAMPLES = 5
_BOTH = f"{GUARD}, and {READ_ONLY}"

_ROLE: LiteralString = """
SELECT current_user AS name, r.rolsuper AS superuser, r.rolbypassrls AS bypassrls, r.rolreplication AS replication,
       r.rolcreatedb AS createdb, r.rolcreaterole AS createrole,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS creates_schemas,
       pg_catalog.current_database() AS database
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""
_MEMBERSHIPS: LiteralString = """
SELECT r.rolname AS name, r.rolsuper AS superuser FROM pg_catalog.pg_roles r
WHERE r.rolname <> current_user AND pg_catalog.pg_has_role(r.oid, 'MEMBER') ORDER BY r.rolname
"""
_TABLES: LiteralString = """
SELECT n.nspname AS schema, c.relname AS name,
       pg_catalog.pg_has_role(c.relowner, 'MEMBER') AS owned,
       pg_catalog.has_any_column_privilege(c.oid, 'INSERT, UPDATE')
       OR pg_catalog.has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS writable
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_(toast|temp)' AND c.oid >= 16384
  AND (pg_catalog.pg_has_role(c.relowner, 'MEMBER') OR pg_catalog.has_any_column_privilege(c.oid, 'INSERT, UPDATE')
       OR pg_catalog.has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
ORDER BY 1, 2
"""
_SEQUENCES: LiteralString = """
SELECT n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_(toast|temp)' AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
  AND CASE WHEN c.relkind = 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'USAGE, UPDATE') ELSE false END
ORDER BY 1, 2
"""
_SCHEMAS: LiteralString = """
SELECT n.nspname AS name FROM pg_catalog.pg_namespace n
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND pg_catalog.has_schema_privilege(n.oid, 'CREATE')
ORDER BY 1
"""
_DEFINERS: LiteralString = """
SELECT n.nspname AS schema, p.proname AS name, r.rolname AS owner, r.rolsuper AS superuser
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
WHERE p.prosecdef AND p.oid >= 16384 AND NOT pg_catalog.pg_has_role(p.proowner, 'MEMBER')
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
ORDER BY 1, 2
"""
_DBLINK: LiteralString = """
SELECT n.nspname AS schema, p.proname AS name FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
  AND d.deptype = 'e'
JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND e.oid = d.refobjid
WHERE e.extname = 'dblink' AND p.proname IN ('dblink', 'dblink_exec', 'dblink_connect', 'dblink_connect_u')
  AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
"""
_FOREIGN: LiteralString = """
SELECT DISTINCT s.srvname AS name FROM pg_catalog.pg_foreign_server s
WHERE pg_catalog.has_server_privilege(s.oid, 'USAGE') ORDER BY 1
"""
_LANGUAGES: LiteralString = """
SELECT l.lanname AS name FROM pg_catalog.pg_language l
WHERE l.lanispl AND NOT l.lanpltrusted AND pg_catalog.has_language_privilege(l.oid, 'USAGE') ORDER BY 1
"""
_VIEWS: LiteralString = """
SELECT DISTINCT n.nspname AS schema, c.relname AS name FROM pg_catalog.pg_rewrite w
JOIN pg_catalog.pg_class c ON c.oid = w.ev_class AND c.relkind = 'v'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
  AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refobjid >= 16384
WHERE c.oid >= 16384 AND pg_catalog.has_table_privilege(c.oid, 'SELECT') ORDER BY 1, 2
"""
# Predefined roles by what their members may do, which the role's own attributes do not tell.
_PREDEFINED: Mapping[str, tuple[str, str]] = {
    "pg_execute_server_program": ("high", GUARD),
    "pg_write_server_files": ("high", GUARD),
    "pg_read_server_files": ("high", GUARD_CALL),
    "pg_create_subscription": ("high", GUARD),
    "pg_write_all_data": ("medium", _BOTH),
    "pg_maintain": ("medium", GUARD),
    "pg_checkpoint": ("low", GUARD),
    "pg_signal_backend": ("medium", GUARD_CALL),
    "pg_signal_autovacuum_worker": ("low", GUARD_CALL),
    "pg_database_owner": ("medium", _BOTH),
}


@dataclass(frozen=True, slots=True)
class Rights:
    role: str
    database: str
    superuser: bool
    findings: Sequence[Finding]
    schemas: Sequence[str]
    """Those in which it may make things."""


async def ask(connection: Connection) -> Rights:
    """In one transaction of the catalogue alone; nothing is tried."""
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        (role,) = await _rows(connection, _ROLE)
        memberships = await _rows(connection, _MEMBERSHIPS)
        schemas = [row["name"] for row in await _rows(connection, _SCHEMAS)]
        tables = await _rows(connection, _TABLES)
        findings = [
            *_of_attributes(role),
            *_of_memberships(role, memberships),
            _counted("make things in schemas", "medium", schemas, "CREATE on", _BOTH),
            _counted("own tables", "medium", _paths(t for t in tables if t["owned"]), "owner of", _BOTH),
            _counted(
                "write tables", "medium", _paths(t for t in tables if t["writable"]), "may write", _BOTH
            ),
            _counted("move sequences", "low", _paths(await _rows(connection, _SEQUENCES)), "may move", _BOTH),
            _of_definers(await _rows(connection, _DEFINERS)),
            _counted(
                "reach other databases through dblink",
                "high",
                _paths(await _rows(connection, _DBLINK)),
                "may call",
                f"{GUARD_CALL} (a READ ONLY transaction does not stop it)",
            ),
            _counted(
                "use foreign servers",
                "medium",
                [row["name"] for row in await _rows(connection, _FOREIGN)],
                "USAGE on",
                f"{GUARD}; tables of foreign servers that it may read stay readable",
            ),
            _counted(
                "write functions in untrusted languages",
                "high",
                [row["name"] for row in await _rows(connection, _LANGUAGES)],
                "USAGE on",
                _BOTH,
            ),
            _of_views(_paths(await _rows(connection, _VIEWS))),
        ]
    return Rights(role["name"], role["database"], role["superuser"], findings, schemas)


def _of_attributes(role: Mapping[str, Any]) -> list[Finding]:
    told = (
        ("be a superuser", "superuser", "high", "the role is SUPERUSER", _BOTH),
        ("see rows that policies hide", "bypassrls", "medium", "the role has BYPASSRLS", ""),
        ("copy the whole cluster by replication", "replication", "high", "the role has REPLICATION", GUARD),
        ("make databases", "createdb", "medium", "the role has CREATEDB", GUARD),
        ("make roles", "createrole", "high", "the role has CREATEROLE", _BOTH),
        ("make schemas", "creates_schemas", "medium", "CREATE on the database", _BOTH),
    )
    return [
        Finding(check, role[name], severity if role[name] else "none", evidence, blocked)  # type: ignore[arg-type]
        if role[name]
        else Finding(check, False, "none", "the catalogue says no")
        for check, name, severity, evidence, blocked in told
    ]


def _of_memberships(role: Mapping[str, Any], memberships: Sequence[Mapping[str, Any]]) -> list[Finding]:
    if role["superuser"]:  # a member of everything, which says nothing more
        return []
    names = {row["name"] for row in memberships}
    powerful = [row["name"] for row in memberships if row["superuser"]]
    return [
        *(
            Finding(f"act as {name}", True, severity, f"member of {name}", blocked)  # type: ignore[arg-type]
            for name, (severity, blocked) in _PREDEFINED.items()
            if name in names
        ),
        _counted("become a superuser", "high", powerful, "member of", GUARD),
    ]


def _of_definers(found: Sequence[Mapping[str, Any]]) -> Finding:
    severity = "high" if any(row["superuser"] for row in found) else "medium"
    return _counted(
        "run functions with others' rights (SECURITY DEFINER)",
        severity,
        _paths(found),
        "may call",
        GUARD_CALL,
    )


def _of_views(views: Sequence[str]) -> Finding:
    if not views:
        return Finding(
            "run functions inside views", False, "none", "no readable view calls one that users made"
        )
    return Finding(
        "run functions inside views",
        True,
        "none",
        f"{len(views)} readable views call functions that users made: {_some(views)}",
        f"{READ_ONLY}, which stops writing, not everything; the guard does not look inside views",
    )


def _counted(check: str, severity: str, names: Sequence[str], verb: str, blocked: str) -> Finding:
    if not names:
        return Finding(check, False, "none", "the catalogue says no")
    return Finding(check, True, severity, f"{verb} {len(names)}: {_some(names)}", blocked)  # type: ignore[arg-type]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_EXAMPLES])
    return f"{shown}, …" if len(names) > _EXAMPLES else shown


def _paths(rows: Any) -> list[str]:
    return list(dict.fromkeys(quoted(row["schema"], row["name"]) for row in rows))


async def _rows(connection: Connection, query: LiteralString) -> list[dict[str, Any]]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query)
        return await cursor.fetchall()
