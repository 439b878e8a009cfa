"""What the log and the audit trail tell of each use of a source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from deepanalyze.audit import Action, Deed, note
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.errors import DeepAnalyzeError, PermissionDenied, QueryFailed, SourceError
from deepanalyze.logging import KnownSecrets
from deepanalyze.telemetry import Telemetry

log = structlog.get_logger()

Facts = dict[str, Any]


READING = frozenset(
    ("browse", "certify", "export", "fetch", "metadata", "preview", "query", "schema", "statistics", "test")
)
"""Every other operation is a change: it is refused while the audit trail cannot be written."""


@contextmanager
def operation(
    telemetry: Telemetry,
    secrets: KnownSecrets,
    name: Action,
    source: StoredSource,
    *,
    sql: str | None = None,
    thread_id: str | None = None,
    **asked: str | None,
) -> Iterator[Facts]:
    """One record in the log, and one figure, for each use of a source: how it failed, when it did, else the facts that
    the block puts down, such as how many rows it brought. Never what was asked: SQL may hold secrets. The audit
    trail's record also has what was `asked` for by name, of SQL what the settings allow, and as its object the thread
    that is filled or read, where there is one.
    """
    with logged(
        telemetry, secrets, name, source.id, source.type, sql=sql, thread_id=thread_id, **asked
    ) as facts:
        yield facts


@contextmanager
def logged(
    telemetry: Telemetry,
    secrets: KnownSecrets,
    name: Action,
    source_id: str,
    source_type: str,
    *,
    sql: str | None = None,
    thread_id: str | None = None,
    **asked: str | None,
) -> Iterator[Facts]:
    """The same for a source that is still to be made."""
    facts: Facts = {}
    deed = Deed(
        name,
        object_type="thread" if thread_id else None,
        object_id=thread_id,
        facts={"source_type": source_type, **asked},
        source_id=source_id,
        sql=sql,
        change=name not in READING,
    )
    try:
        with deed.recorded():
            try:
                yield facts
            except SourceError as error:  # the words of whoever was to be reached
                secrets.clean(error, source_id)
                raise
            finally:
                deed.facts |= facts
                deed.change |= "rows_affected" in facts
    finally:
        telemetry.source_used(name, source_type, deed.outcome, deed.duration_ms / 1000)
        if name == "fetch":
            telemetry.fetched(source_type, facts.get("bytes", 0))
        record = log.info if deed.error is None else log.warning
        record(
            "source operation",
            operation=name,
            source_id=source_id,
            source_type=source_type,
            duration_ms=deed.duration_ms,
            **facts,
            **_outcome(deed.error),
        )


@contextmanager
def refusals(name: Action, source: StoredSource) -> Iterator[None]:
    """What is refused before it begins goes into the audit trail, too."""
    try:
        yield
    except PermissionDenied as error:
        note(name, "refused", source_id=source.id, code=error.code)
        raise


def hidden(source: StoredSource) -> None:
    """Somebody asked for a source that does not exist for them."""
    note("find", "refused", source_id=source.id, code="not_found")


def _outcome(error: BaseException | None) -> Facts:
    if error is None:
        return {"outcome": "ok"}
    if isinstance(error, DeepAnalyzeError):
        return {"outcome": "failed", "code": error.code, **_reason(error)}
    return {"outcome": "failed", "error": type(error).__name__}


def _reason(error: DeepAnalyzeError) -> Facts:
    """A database quotes the statement, its parameters and the data in its words: these are for who asked."""
    if not isinstance(error, QueryFailed):
        return {"error": error.message}
    sqlstate = next((detail.get("sqlstate") for detail in error.details), None)
    return {"error": "the database refused the statement", "sqlstate": sqlstate}
