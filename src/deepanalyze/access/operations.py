"""What the log and the audit trail tell of each use of a source."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from deepanalyze.audit import Outcome, begin_change, note
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.errors import DeepAnalyzeError, PermissionDenied, QueryFailed

log = structlog.get_logger()

Facts = dict[str, Any]


READING = frozenset(
    ("browse", "certify", "export", "fetch", "metadata", "preview", "query", "schema", "statistics", "test")
)
"""Every other operation is a change: it is refused while the audit trail cannot be written."""


@contextmanager
def operation(
    name: str, source: StoredSource, *, sql: str | None = None, **asked: str | None
) -> Iterator[Facts]:
    """One record in the log for each use of a source: how it failed, when it did, else the facts that the block puts
    down, such as how many rows it brought. Never what was asked: SQL may hold secrets. The audit trail's record also
    has what was `asked` for by name, and of SQL what the settings allow.
    """
    with logged(name, source.id, source.type, sql=sql, **asked) as facts:
        yield facts


@contextmanager
def logged(
    name: str, source_id: str, source_type: str, *, sql: str | None = None, **asked: str | None
) -> Iterator[Facts]:
    """The same for a source that is still to be made."""
    if name not in READING:
        begin_change()
    started = time.perf_counter()
    facts: Facts = {}
    outcome: Facts = {"outcome": "ok"}
    result: Outcome = "ok"
    try:
        yield facts
    except DeepAnalyzeError as error:
        outcome = {"outcome": "failed", "code": error.code, **_reason(error)}
        result = "refused" if isinstance(error, PermissionDenied) else "failed"
        raise
    except BaseException as error:
        outcome = {"outcome": "failed", "error": type(error).__name__}
        result = "failed"
        raise
    finally:
        duration_ms = round((time.perf_counter() - started) * 1000, 1)
        record = log.info if outcome["outcome"] == "ok" else log.warning
        record(
            "source operation",
            operation=name,
            source_id=source_id,
            source_type=source_type,
            duration_ms=duration_ms,
            **facts,
            **outcome,
        )
        note(
            name,
            result,
            source_id=source_id,
            code=outcome.get("code"),
            duration_ms=duration_ms,
            sql=sql,
            change=name not in READING or "rows_affected" in facts,
            details={"source_type": source_type, **asked, **facts, "error": _kind(outcome)},
        )


@contextmanager
def refusals(name: str, source: StoredSource) -> Iterator[None]:
    """What is refused before it begins goes into the audit trail, too."""
    try:
        yield
    except PermissionDenied as error:
        note(name, "refused", source_id=source.id, code=error.code)
        raise


def hidden(source: StoredSource) -> None:
    """Somebody asked for a source that does not exist for them."""
    note("find", "refused", source_id=source.id, code="not_found")


def _kind(outcome: Facts) -> str | None:
    """Of what is no error of ours; the words of errors are for the log."""
    return None if "code" in outcome else outcome.get("error")


def _reason(error: DeepAnalyzeError) -> Facts:
    """A database quotes the statement, its parameters and the data in its words: these are for who asked."""
    if not isinstance(error, QueryFailed):
        return {"error": error.message}
    sqlstate = next((detail.get("sqlstate") for detail in error.details), None)
    return {"error": "the database refused the statement", "sqlstate": sqlstate}
