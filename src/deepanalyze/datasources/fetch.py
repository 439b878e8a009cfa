"""Bringing what a request names into a directory, the same way for the library, the API, the CLI and chat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepanalyze.datasources.base import Column, DataSourceConnector, FileFormat, Progress
from deepanalyze.datasources.limits import Limits


@dataclass(frozen=True, slots=True)
class DataReference:
    """Names data in one source: exactly one of `path` (blob, glob, prefix), `query` (SQL) or `table`."""

    source_id: str
    path: str | None = None
    query: str | None = None
    table: str | None = None
    format: FileFormat = "csv"
    save_as: str | None = None
    max_rows: int | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """One file that a reference brought. `file` is relative to the directory, with `/` between its parts."""

    file: str
    source_id: str
    name: str  # of the source
    type: str  # of the source
    bytes: int
    rows: int | None = None
    truncated: bool = False
    elapsed_ms: int = 0
    columns: tuple[Column, ...] = ()
    path: str | None = None
    sql: str | None = None


async def fetch(
    connector: DataSourceConnector,
    reference: DataReference,
    directory: Path,
    *,
    limits: Limits,
    on_progress: Callable[[Progress], None] | None = None,
) -> list[FetchedFile]:
    """Fetches one reference into `directory`. Either every file is there when it returns, or none is."""
    raise NotImplementedError
