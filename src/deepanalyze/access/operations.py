"""What the log tells of each use of a source."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from deepanalyze.datasources.repository import StoredSource
from deepanalyze.errors import DeepAnalyzeError, QueryFailed

log = structlog.get_logger()

Facts = dict[str, Any]


@contextmanager
def operation(name: str, source: StoredSource) -> Iterator[Facts]:
    """One record for each use of a source: how it failed, when it did, else the facts that the block puts down, such
    as how many rows it brought. Never what was asked: SQL may hold secrets.
    """
    with logged(name, source.id, source.type) as facts:
        yield facts


@contextmanager
def logged(name: str, source_id: str, source_type: str) -> Iterator[Facts]:
    """The same for a source that is still to be made."""
    started = time.perf_counter()
    facts: Facts = {}
    outcome: Facts = {"outcome": "ok"}
    try:
        yield facts
    except DeepAnalyzeError as error:
        outcome = {"outcome": "failed", "code": error.code, **_reason(error)}
        raise
    except BaseException as error:
        outcome = {"outcome": "failed", "error": type(error).__name__}
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


def _reason(error: DeepAnalyzeError) -> Facts:
    """A database quotes the statement, its parameters and the data in its words: these are for who asked."""
    if not isinstance(error, QueryFailed):
        return {"error": error.message}
    sqlstate = next((detail.get("sqlstate") for detail in error.details), None)
    return {"error": "the database refused the statement", "sqlstate": sqlstate}
