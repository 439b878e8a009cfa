"""Foreign errors become ours here: what SQLite and SQLAlchemy raise, most specific first."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError

from deepanalyze.errors import AlreadyExists, DeepAnalyzeError, InternalError, InvalidApiKey, NotFound

_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the disk or the database file is read-only",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_PERM: "access to the database file is denied",
    sqlite3.SQLITE_NOTADB: "the file is not a database",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written",
    sqlite3.SQLITE_BUSY: "another process is using the database",
    sqlite3.SQLITE_LOCKED: "another process is using the database",
}
_NO_TABLE = "no such table: "
_PRIMARY_CODE = 0xFF  # SQLite's extended result codes keep the primary one in the low byte


def reason(error: BaseException) -> str | None:
    """Why SQLite failed, for people; None when it is nothing that an administrator could mend."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if str(cause).startswith(_NO_TABLE):
        return f"its table {str(cause).removeprefix(_NO_TABLE)} is gone, put back a copy of the store"
    code = getattr(cause, "sqlite_errorcode", None)
    return _REASONS.get(code & _PRIMARY_CODE) if isinstance(code, int) else None


def is_full(error: BaseException) -> bool:
    """Whether `store_errors` raised it for want of room."""
    return error.__cause__ is not None and reason(error.__cause__) == _REASONS[sqlite3.SQLITE_FULL]


@contextmanager
def store_errors() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise _integrity(error) from error
    except DBAPIError as error:
        why = reason(error)
        if why is None:
            raise
        raise InternalError(f"the server's store failed: {why}; nothing was changed") from error


@contextmanager
def already_exists(what: str, *, param: str | None = None) -> Iterator[None]:
    """Names what is taken when the statement inside breaks a unique constraint."""
    try:
        yield
    except IntegrityError as error:
        if _breaks_foreign_key(error):
            raise
        raise AlreadyExists(f"{what} already exists", param=param) from error


def check_owner(gone: Container[str], user_id: str | None) -> None:
    """Within a transaction that adds something of a user. Raises InvalidApiKey when the user was deleted meanwhile."""
    if user_id in gone:
        raise InvalidApiKey("the user of this API key was deleted")


def _integrity(error: IntegrityError) -> DeepAnalyzeError:
    if _breaks_foreign_key(error):
        return NotFound("what this belongs to is gone")
    return AlreadyExists("it already exists")


def _breaks_foreign_key(error: IntegrityError) -> bool:
    return getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
