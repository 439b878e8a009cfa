"""What PostgreSQL and psycopg raise, as ours; most specific first. No message holds a secret or a whole DSN."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors as pg

from deepanalyze.errors import (
    Cancelled,
    DeepAnalyzeError,
    PermissionDenied,
    QueryFailed,
    QueryTimeout,
    ReadOnlyViolation,
    SourceAuthenticationFailed,
    SourceUnavailable,
)

_ATTEMPT = re.compile(r"connection to server [^\n]*failed: [^\n]+")


@contextmanager
def postgres_errors(source: str, *, timeout_s: float | None = None) -> Iterator[None]:
    """Maps the block's errors.

    Args:
        source: its name, for messages.
        timeout_s: the time limit of the block's query, for messages.
    """
    try:
        yield
    except psycopg.Error as error:
        raise mapped(error, source, timeout_s=timeout_s) from error
    except OSError as error:
        raise SourceUnavailable(
            f"source {source!r}: the connection failed ({error.strerror or type(error).__name__})"
        ) from error


def mapped(error: psycopg.Error, source: str, *, timeout_s: float | None = None) -> DeepAnalyzeError:
    place = f"source {source!r}"
    words = _primary(error)
    details = [_details(error)]
    match error:
        case pg.QueryCanceled() if "user request" in words:
            return Cancelled(f"{place}: somebody cancelled the query on the server", details=details)
        case pg.QueryCanceled():
            limit = f" after {timeout_s:g} s (query_timeout_s)" if timeout_s is not None else ""
            return QueryTimeout(
                f"{place}: the query was stopped{limit}; add a filter or raise the limit", details=details
            )
        case pg.LockNotAvailable():
            return QueryTimeout(
                f"{place}: the query waited too long for a lock that another session holds", details=details
            )
        case pg.InvalidPassword() | pg.InvalidAuthorizationSpecification():
            return SourceAuthenticationFailed(
                f"{place}: the server refuses the user or the password ({words})"
            )
        case pg.InvalidCatalogName():
            return SourceUnavailable(f"{place}: {words}", details=details)
        case pg.TooManyConnections() | pg.ConfigurationLimitExceeded():
            return SourceUnavailable(
                f"{place}: the server takes no more connections ({words})", details=details, retry_after_s=5
            )
        case pg.CannotConnectNow():
            return SourceUnavailable(
                f"{place}: the server is starting up or shutting down ({words})", retry_after_s=5
            )
        case pg.ReadOnlySqlTransaction():
            return ReadOnlyViolation(f"{place} is read-only: {words}", details=details)
        case pg.InsufficientPrivilege():
            return PermissionDenied(f"{place}: {words}; the source's role lacks that right", details=details)
        case (
            pg.AdminShutdown()
            | pg.CrashShutdown()
            | pg.IdleInTransactionSessionTimeout()
            | pg.ConnectionException()
        ):
            return SourceUnavailable(f"{place}: the server ended the connection ({words})", retry_after_s=1)
    if error.sqlstate is not None:
        return QueryFailed(f"{place}: the query failed ({error.sqlstate}): {words}", details=details)
    return _without_sqlstate(error, place)


def _without_sqlstate(error: psycopg.Error, place: str) -> DeepAnalyzeError:
    """What libpq itself reports: a connection that was never made, or lost. It gives words only."""
    words = _last_line(str(error))
    lowered = str(error).lower()
    if (
        "password authentication failed" in lowered
        or "no password supplied" in lowered
        or "pg_hba.conf" in lowered
    ):
        return SourceAuthenticationFailed(f"{place}: the server refuses the user or the password ({words})")
    if 'database "' in lowered and "does not exist" in lowered:
        return SourceUnavailable(f"{place}: {words}")
    if (
        "certificate verify failed" in lowered
        or "does not match host name" in lowered
        or "does not support ssl" in lowered
    ):
        return SourceUnavailable(f"{place}: no trusted TLS connection could be made ({words})")
    if "server closed the connection unexpectedly" in lowered:  # more lines follow, which guess at causes
        return SourceUnavailable(f"{place}: the server ended the connection", retry_after_s=1)
    if isinstance(error, psycopg.OperationalError):
        return SourceUnavailable(f"{place}: the server cannot be reached or dropped the connection ({words})")
    return QueryFailed(f"{place}: the query failed: {words}", details=[_details(error)])


def is_transient(error: BaseException) -> bool:
    """Whether connecting again soon may help."""
    if isinstance(error, OSError):
        return True
    if not isinstance(error, psycopg.OperationalError):
        return False
    if isinstance(error, (pg.CannotConnectNow, pg.TooManyConnections)):
        return True
    ours = mapped(error, "")
    lasting = (
        isinstance(ours, SourceAuthenticationFailed)
        or "does not exist" in ours.message
        or "TLS" in ours.message
    )
    return not lasting


def _primary(error: psycopg.Error) -> str:
    return error.diag.message_primary or _last_line(str(error))


def _last_line(text: str) -> str:
    """libpq reports every address it tried and adds guesses; the last attempt says enough."""
    attempts = _ATTEMPT.findall(text)
    lines = attempts or [line.strip() for line in text.splitlines() if line.strip()]
    told = lines[-1] if lines else "no reason given"
    for lead in ("FATAL:", "ERROR:"):
        told = told.rpartition(lead)[2].strip() if lead in told else told
    return told[:300]


def _details(error: psycopg.Error) -> dict[str, Any]:
    diag = error.diag
    position = diag.statement_position
    return {
        "sqlstate": error.sqlstate,
        "message": _primary(error),
        "detail": diag.message_detail,
        "hint": diag.message_hint,
        "position": int(position) if position else None,
    }
