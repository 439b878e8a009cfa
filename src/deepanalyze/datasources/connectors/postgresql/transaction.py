"""What frames every piece of work: how a transaction begins, and how a session is made as it was before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

from psycopg import sql

_IDLE_IN_TRANSACTION_MS = 60_000
_MAX_LOCK_WAIT_MS = 10_000

# Read-only also outside our transactions, should one ever be left. Not behind a pooler that lends its server's sessions
# to others: they would find it set.
CONFIGURE: LiteralString = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"

# A view may hide a function that takes an advisory lock, which would last as long as the session. One message, so that
# a pooler runs all of it on the session that the transaction ran on.
_END: LiteralString = "ROLLBACK; SELECT pg_catalog.pg_advisory_unlock_all()"
_RESET: tuple[LiteralString, ...] = (
    "SELECT pg_catalog.current_setting('default_transaction_read_only')",
    "RESET SESSION AUTHORIZATION",
    "RESET ALL",
    "CLOSE ALL",
    "UNLISTEN *",
    "DISCARD TEMP",
    "DISCARD SEQUENCES",
    CONFIGURE,
)


def begin(timeout_s: float, search_path: Sequence[str] | None, *, writing: bool = False) -> sql.Composed:
    """Everything that a statement relies on, set for this transaction alone, so that nothing has to be undone and a
    pooler in between may swap sessions. Ends with a SELECT of the server's clock (Unix seconds), of the
    snapshot, which that takes, and of the search path; after it the server refuses to make a reading transaction
    read-write.
    """
    timeout_ms = max(1, round(timeout_s * 1000))
    settings: dict[str, Any] = {
        "statement_timeout": timeout_ms,
        "lock_timeout": min(timeout_ms, _MAX_LOCK_WAIT_MS),
        "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION_MS,
        "standard_conforming_strings": "on",  # what the guard's parser takes for granted
        "datestyle": "ISO",
        "intervalstyle": "postgres",
        "bytea_output": "hex",
        "extra_float_digits": 3,  # texts that read back as the same number, on every version
    }
    mode: LiteralString = (
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
        if writing
        else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    )
    parts: list[sql.Composable] = [sql.SQL(mode)]
    parts += [
        sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(k), sql.Literal(v)) for k, v in settings.items()
    ]
    if search_path:
        schemas = sql.SQL(", ").join(map(sql.Identifier, search_path))
        parts.append(sql.SQL("SET LOCAL search_path = {}").format(schemas))
    parts.append(
        sql.SQL(
            "SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()), "
            "pg_catalog.txid_current_snapshot()::pg_catalog.text, pg_catalog.current_schemas(true)::pg_catalog.text[]"
        )
    )
    return sql.SQL("; ").join(parts)


def end(*, behind_pooler: bool) -> LiteralString:
    """Rolls back what is left open and takes back whatever the session may have become.

    Its last row but the lock's tells, where there is no pooler, whether the session was still read-only: `on`.
    """
    return _END if behind_pooler else "; ".join((_END, *_RESET))
