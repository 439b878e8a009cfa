"""What is really tried: each in a transaction of its own that is rolled back, harmless even where it succeeds.

Nothing is ever committed, so that a process that dies in the middle leaves nothing either. No table of anybody else is
touched or locked.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from deepanalyze.datasources.capabilities import Finding
from deepanalyze.datasources.connectors.postgresql.connecting import Connection

_LOCK_TIMEOUT_MS, _STATEMENT_TIMEOUT_MS = 1_000, 3_000
_BEGIN = sql.SQL(
    "BEGIN ISOLATION LEVEL READ COMMITTED {mode}; SET LOCAL lock_timeout = {lock}; "
    "SET LOCAL statement_timeout = {statement}; SET LOCAL client_min_messages = 'error'; "
)

READ_ONLY = "every transaction is READ ONLY"
GUARD = "the guard refuses the statement before the server sees it"
GUARD_CALL = "the guard refuses the function"


@dataclass(frozen=True, slots=True)
class Probe:
    """`severity` is what it means when it succeeds."""

    check: str
    statement: sql.Composable
    severity: str
    succeeded: str
    blocked: str


def probes() -> Sequence[Probe]:
    name = sql.Identifier(f"deepanalyze_probe_{secrets.token_hex(6)}")
    key = sql.Literal(secrets.randbits(60))
    return (
        Probe(
            "run programs on the server",
            sql.SQL("COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'"),
            "high",
            "COPY … TO PROGRAM ran",
            GUARD,
        ),
        Probe(
            "write files on the server",
            sql.SQL("COPY (SELECT 1) TO '/dev/null'"),
            "high",
            "COPY … TO a file ran",
            GUARD,
        ),
        Probe(
            "read files of the server",
            sql.SQL("SELECT pg_catalog.pg_read_file('PG_VERSION', 0, 1)"),
            "high",
            "pg_read_file read the server's PG_VERSION",
            GUARD_CALL,
        ),
        Probe(
            "make temporary tables",
            sql.SQL("CREATE TEMPORARY TABLE {} (a int) ON COMMIT DROP").format(name),
            "low",
            "CREATE TEMPORARY TABLE ran",
            f"{GUARD}, and {READ_ONLY}",
        ),
        Probe(
            "store large objects",
            sql.SQL("SELECT pg_catalog.lo_create(0)"),
            "low",
            "lo_create made one",
            f"{GUARD_CALL}, and {READ_ONLY}",
        ),
        Probe(
            "change its own settings for good",
            sql.SQL("ALTER ROLE CURRENT_USER SET default_transaction_read_only = off"),
            "none",
            "ALTER ROLE … SET ran; every role may do that to itself",
            GUARD,
        ),
        Probe(
            "take advisory locks",
            sql.SQL("SELECT pg_catalog.pg_try_advisory_xact_lock({})").format(key),
            "none",
            "a lock was had; every role may",
            GUARD_CALL,
        ),
        Probe(
            "notify other sessions",
            sql.SQL("NOTIFY {}").format(name),
            "none",
            "NOTIFY ran; every role may",
            GUARD,
        ),
    )


def table_probe(schema: str) -> Probe:
    """For a schema in which the catalogue says that the credential may make things."""
    name = sql.Identifier(schema, f"deepanalyze_probe_{secrets.token_hex(6)}")
    return Probe(
        f"make tables in {schema}",
        sql.SQL("CREATE TABLE {} (a int)").format(name),
        "medium",
        f"CREATE TABLE ran in schema {schema}",
        f"{GUARD}, and {READ_ONLY}",
    )


def role_probe(role: str) -> Probe:
    """For one of which the catalogue says that the credential is a member."""
    return Probe(
        f"become {role}",
        sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)),
        "none",
        "SET ROLE ran; what that role may do is counted with the rest",
        GUARD,
    )


async def tried(connection: Connection, probe: Probe, *, standby: bool) -> Finding:
    """A standby starts no transaction that may write, but runs programs and writes files like any other server."""
    begin = _BEGIN.format(
        mode=sql.SQL("READ ONLY" if standby else "READ WRITE"),
        lock=sql.Literal(_LOCK_TIMEOUT_MS),
        statement=sql.Literal(_STATEMENT_TIMEOUT_MS),
    )
    allowed, evidence = await _attempt(connection, begin + probe.statement)
    return Finding(
        probe.check,
        allowed,
        probe.severity if allowed else "none",  # type: ignore[arg-type]
        probe.succeeded if allowed else evidence,
        probe.blocked if allowed else "",
    )


async def _attempt(connection: Connection, statement: sql.Composed) -> tuple[bool | None, str]:
    try:
        await connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        return False, f"refused: {_words(error)}"
    except psycopg.errors.ReadOnlySqlTransaction:
        return False, "refused: the server itself is read-only (a standby, or set so)"
    except psycopg.errors.UndefinedFunction:
        return False, "this server has no such function"
    except psycopg.Error as error:
        if connection.closed:
            raise
        return None, f"could not be told: {_words(error)}"
    finally:
        if not connection.closed:
            await connection.execute("ROLLBACK")
    return True, ""


def _words(error: psycopg.Error) -> str:
    return (error.diag.message_primary or type(error).__name__)[:200]
