"""What PostgreSQL and psycopg raise, as ours; most specific first. No message holds a secret or a whole DSN."""

from __future__ import annotations

import re
import socket
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

_TRANSIENT = frozenset({"57P01", "57P02", "57P03", "53300", "40001"})
# By which words libpq, the server (in English) or a pooler refuses a connection; the first that fits counts.
_SIGNS = (
    ("client certificate", ("requires a valid client certificate", "certificate authentication failed")),
    (
        "slots",
        ("too many clients", "connection slots are reserved", "too many connections", "no more connections"),
    ),
    (
        "credentials",
        (
            "password authentication failed",
            "no password supplied",
            "pg_hba.conf",
            "sasl authentication failed",
            "no such user",
            "is not permitted to log in",
        ),
    ),
    ("database", ('" does not exist', "no such database")),
    (
        "tls",
        (
            "certificate verify failed",
            "does not match host name",
            "does not support ssl",
            "ssl error",
            "ssl required",
            "certificate authority",
            "root certificate",
            "could not load private key",
            "could not read certificate",
            "tlsv1 alert",
        ),
    ),
    ("starting", ("the database system is", "server is shutting down")),
    ("ended", ("server closed the connection unexpectedly",)),
)
_LASTING = frozenset({"credentials", "client certificate", "database", "tls"})
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


def mapped(
    error: psycopg.Error, source: str, *, timeout_s: float | None = None, offset: int | None = None
) -> DeepAnalyzeError:
    """As ours.

    Args:
        offset: where the text that was sent begins in the user's own; None where the two have not the same positions.
    """
    place = f"source {source!r}"
    words = _primary(error)
    details = [_details(error, offset)]
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
    match _reason(str(error)):
        case "credentials":
            return SourceAuthenticationFailed(
                f"{place}: the server refuses the user or the password ({words})"
            )
        case "client certificate":
            return SourceAuthenticationFailed(
                f"{place}: the server refuses the client certificate ({words}); see sslcert and sslkey"
            )
        case "database":
            return SourceUnavailable(f"{place}: {words}")
        case "tls":
            return SourceUnavailable(f"{place}: no trusted TLS connection could be made ({words})")
        case "slots":
            return SourceUnavailable(
                f"{place}: the server takes no more connections ({words})", retry_after_s=5
            )
        case "starting":
            return SourceUnavailable(
                f"{place}: the server is starting up or shutting down ({words})", retry_after_s=5
            )
        case "ended":  # more lines follow, which guess at causes
            return SourceUnavailable(f"{place}: the server ended the connection", retry_after_s=1)
    if isinstance(error, psycopg.OperationalError):
        return SourceUnavailable(f"{place}: the server cannot be reached or dropped the connection ({words})")
    return QueryFailed(f"{place}: the query failed: {words}", details=[_details(error)])


def _reason(text: str) -> str | None:
    lowered = text.lower()
    return next((reason for reason, signs in _SIGNS if any(sign in lowered for sign in signs)), None)


def is_transient(error: BaseException) -> bool:
    """Whether the same may work soon, on another connection: the connection failed or was ended from outside (08xxx,
    57P01 to 57P03), a slot may come free (53300), a conflict may pass (40001). Never a wrong password, a TLS refusal or
    an error of the SQL itself.
    """
    if isinstance(error, OSError):
        return isinstance(error, ConnectionError) or getattr(error, "errno", None) == socket.EAI_AGAIN
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is not None:
        return error.sqlstate.startswith("08") or error.sqlstate in _TRANSIENT
    return isinstance(error, psycopg.OperationalError) and _reason(str(error)) not in _LASTING


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


def _details(error: psycopg.Error, offset: int | None = None) -> dict[str, Any]:
    diag = error.diag
    position = diag.statement_position
    return {
        "sqlstate": error.sqlstate,
        "message": _primary(error),
        "detail": diag.message_detail,
        "hint": diag.message_hint,
        "position": int(position) + offset if position and offset is not None else None,
    }
