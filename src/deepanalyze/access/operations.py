"""What the log tells of each use of a source."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from deepanalyze.datasources.repository import StoredSource
from deepanalyze.errors import DeepAnalyzeError

log = structlog.get_logger()


@contextmanager
def operation(name: str, source: StoredSource) -> Iterator[None]:
    """One record for each use of a source; how it failed, when it did. Never what was asked: SQL may hold secrets."""
    with logged(name, source.id, source.type):
        yield


@contextmanager
def logged(name: str, source_id: str, source_type: str) -> Iterator[None]:
    """The same for a source that is still to be made."""
    started = time.perf_counter()
    outcome: dict[str, Any] = {"outcome": "ok"}
    try:
        yield
    except DeepAnalyzeError as error:
        outcome = {"outcome": "failed", "code": error.code, "error": error.message}
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
            **outcome,
        )
