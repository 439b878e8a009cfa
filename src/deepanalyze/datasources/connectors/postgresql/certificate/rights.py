"""What the catalogue says of a credential: attributes, memberships, rights on what others made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg.rows import dict_row

from deepanalyze.datasources.capabilities import Finding
from deepanalyze.datasources.connectors.postgresql.certificate import questions
from deepanalyze.datasources.connectors.postgresql.certificate.probes import GUARD, GUARD_CALL, READ_ONLY
from deepanalyze.datasources.connectors.postgresql.connecting import Connection
from deepanalyze.datasources.connectors.postgresql.identifiers import quoted

# Ends by itself even where a catalogue is enormous, and never waits for somebody else's change to it.
READ_CATALOGUE: LiteralString = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '30s'; "
    "SET LOCAL lock_timeout = '1s'; SET LOCAL search_path = pg_catalog"
)
_EXAMPLES = 5
_BOTH = f"{GUARD}, and {READ_ONLY}"
_ATTRIBUTES = (
    ("see rows that policies hide", "bypassrls", "BYPASSRLS", "medium", ""),
    ("copy the whole cluster by replication", "replication", "REPLICATION", "high", GUARD),
    ("make databases", "createdb", "CREATEDB", "medium", GUARD),
    ("make roles", "createrole", "CREATEROLE", "high", _BOTH),
)
# Predefined roles by what their members may do, which the role's own attributes do not tell.
_PREDEFINED: Mapping[str, tuple[str, str]] = {
    "pg_execute_server_program": ("high", GUARD),
    "pg_write_server_files": ("high", GUARD),
    "pg_read_server_files": ("high", GUARD_CALL),
    "pg_create_subscription": ("high", GUARD),
    "pg_write_all_data": ("medium", _BOTH),
    "pg_maintain": ("medium", GUARD),
    "pg_signal_backend": ("medium", GUARD_CALL),
    "pg_database_owner": ("medium", _BOTH),
    "pg_read_all_data": ("none", ""),
}
_UNKNOWN_PREDEFINED = ("low", "the guard refuses what is not plain reading")
_FILES = re.compile(r"pg_read_(binary_)?file|lo_(import|export)")
_RUNNING_THE_SERVER = re.compile(
    r"pg_(reload|rotate|promote|switch|create|drop|copy|wal_replay|backup|start_backup|stop_backup|stat_reset|"
    r"replication|logical|set|clear|restore|sync|nextoid|import|terminate|cancel)"
)


@dataclass(frozen=True, slots=True)
class Rights:
    role: str
    database: str
    standby: bool
    findings: Sequence[Finding]
    schemas: Sequence[str]
    """Those in which it may make things as what it is."""
    others: Sequence[str]
    """The roles that it may become, but those that PostgreSQL itself made."""


async def ask(connection: Connection) -> Rights:
    """In one transaction of the catalogue alone; nothing is tried."""
    async with connection.transaction():
        await connection.execute(READ_CATALOGUE)
        return await _answers(connection)


async def _answers(connection: Connection) -> Rights:
    async def rows(question: LiteralString, **more: Any) -> list[dict[str, Any]]:
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(question, {"me": me, **more})
            return await cursor.fetchall()

    me: list[int] = []
    role, *others = await rows(questions.ROLES)
    me = [row["oid"] for row in (role, *others)]
    (database,) = await rows(questions.DATABASE)
    schemas = await rows(questions.SCHEMAS)
    version = connection.info.server_version
    tables = await rows(questions.TABLES, writes=_writes(version))
    makes_tables = bool(database["creates"] or database["temporary"] or schemas)
    definers = await rows(questions.DEFINERS, makes_tables=makes_tables)
    parameters = await rows(questions.PARAMETERS) if version >= 150_000 and not role["superuser"] else []
    kept = [] if role["superuser"] else _names(await rows(questions.KEPT))
    findings = [
        *_of_roles(role, others),
        *_of_database(database),
        _counted("make things in schemas", "medium", _names(schemas), "CREATE on", _BOTH),
        _counted("own tables", "medium", _paths(t for t in tables if t["owned"]), "owner of", _BOTH),
        _counted("own other things", "medium", _names(await rows(questions.BELONGINGS)), "owner of", _BOTH),
        _counted("write tables", "medium", _paths(t for t in tables if t["writable"]), "may write", _BOTH),
        _counted("move sequences", "low", _paths(await rows(questions.SEQUENCES)), "may move", _BOTH),
        _counted(
            "run functions with others' rights (SECURITY DEFINER)",
            "high" if any(row["superuser"] for row in definers) else "medium",
            _paths(definers),
            "may call",
            GUARD_CALL,
        ),
        _counted("call what is kept from everybody", _worst_call(kept), kept, "may call", GUARD_CALL),
        _counted(
            "change settings of the server",
            "high" if any(row["privilege"] == "ALTER SYSTEM" for row in parameters) else "medium",
            [f"{row['privilege']} {row['name']}" for row in parameters],
            "granted",
            GUARD,
        ),
        _counted(
            "reach other databases through dblink",
            "high",
            _paths(await rows(questions.DBLINK)),
            "may call",
            f"{GUARD_CALL} (a READ ONLY transaction does not stop it)",
        ),
        _counted(
            "use foreign servers",
            "medium",
            _names(await rows(questions.FOREIGN)),
            "USAGE on",
            f"{GUARD}; tables of foreign servers that it may read stay readable",
        ),
        _counted("make foreign servers", "medium", _names(await rows(questions.WRAPPERS)), "USAGE on", _BOTH),
        _counted(
            "write functions in untrusted languages",
            "high",
            _names(await rows(questions.LANGUAGES)),
            "USAGE on",
            _BOTH,
        ),
        _of_views(_paths(await rows(questions.VIEWS))),
        _of_casts([row["name"] for row in await rows(questions.CASTS)]),
    ]
    own_schemas = [row["name"] for row in schemas if row["itself"]]
    become = [row["name"] for row in others if not row["name"].startswith("pg_")]
    return Rights(role["name"], database["database"], database["standby"], findings, own_schemas, become)


def _writes(version: int) -> str:
    """Rights that change a table or what happens to it; a trigger runs with the rights of whoever writes next."""
    return "INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER" + (", MAINTAIN" if version >= 170_000 else "")


def _of_roles(role: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    yield _told("be a superuser", role["superuser"], "high", "the role is SUPERUSER", _BOTH)
    powerful = [other["name"] for other in others if other["superuser"]]
    yield _counted("become a superuser", "high", powerful, "member of", GUARD)
    names = _names(others)
    yield _counted("become other roles", "none", names, "member of", GUARD)
    for check, attribute, word, severity, blocked in _ATTRIBUTES:
        lenders = [other["name"] for other in others if other[attribute] and not other["superuser"]]
        if role[attribute] or not lenders:
            yield _told(check, role[attribute], severity, f"the role has {word}", blocked)
        else:
            yield _counted(check, severity, lenders, f"{word} as a member of", blocked)
    for name in names:
        if name.startswith("pg_"):
            severity, blocked = _PREDEFINED.get(name, _UNKNOWN_PREDEFINED)
            yield _told(f"act as {name}", True, severity, f"member of {name}", blocked)


def _of_database(database: Mapping[str, Any]) -> Iterator[Finding]:
    yield _told("make schemas", database["creates"], "medium", "CREATE on the database", _BOTH)
    # As what it is, these two are really tried.
    lent = [
        right
        for right, anyone, itself in (
            ("TEMPORARY on the database", database["temporary"], database["itself_temporary"]),
            ("EXECUTE on lo_create", database["stores"], database["itself_stores"]),
        )
        if anyone and not itself
    ]
    yield _counted("make temporary tables or large objects as another role", "low", lent, "has", _BOTH)
    yield _told(
        "end other sessions of its own", database["ends"], "none", "every role may do that", GUARD_CALL
    )


def _worst_call(names: Iterable[str]) -> str:
    names = list(names)
    if any(_FILES.fullmatch(name) for name in names):
        return "high"
    return "medium" if any(_RUNNING_THE_SERVER.match(name) for name in names) else "low"


def _of_casts(casts: Sequence[str]) -> Finding:
    check = "run functions by implicit casts"
    if not casts:
        return Finding(check, False, "none", "there is no implicit cast that users made")
    return Finding(
        check,
        True,
        "none",
        f"{len(casts)} implicit casts call functions that users made: {_some(casts)}",
        f"{READ_ONLY}, which stops writing, not everything; the guard sees casts that are written, not implied ones",
    )


def _of_views(views: Sequence[str]) -> Finding:
    check = "run functions inside views and policies"
    if not views:
        return Finding(check, False, "none", "nothing that it may read calls functions that users made")
    return Finding(
        check,
        True,
        "none",
        f"{len(views)} readable relations call functions that users made: {_some(views)}",
        f"{READ_ONLY}, which stops writing, not everything; the guard does not look inside views and policies",
    )


def _counted(check: str, severity: str, names: Sequence[str], verb: str, blocked: str) -> Finding:
    return _told(check, bool(names), severity, f"{verb} {len(names)}: {_some(names)}", blocked)


def _told(check: str, allowed: bool, severity: str, evidence: str, blocked: str) -> Finding:
    if not allowed:
        return Finding(check, False, "none", "the catalogue says no")
    return Finding(check, True, severity, evidence, blocked)  # type: ignore[arg-type]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_EXAMPLES])
    return f"{shown}, …" if len(names) > _EXAMPLES else shown


def _names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return [row["name"] for row in rows]


def _paths(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(quoted(row["schema"], row["name"]) for row in rows))
