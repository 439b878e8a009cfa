"""What names data in a source, and what is told of the files that it brought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deepanalyze.datasources.base import Column
from deepanalyze.datasources.capabilities import FileFormat
from deepanalyze.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class DataReference:
    """Names data in one source: exactly one of `path` (blob, glob, prefix), `query` (SQL) or `table`. `version_id` or
    `snapshot` choose an older version of the one file that `path` names.
    """

    source_id: str
    path: str | None = None
    query: str | None = None
    table: str | None = None
    format: FileFormat = "csv"
    save_as: str | None = None
    max_rows: int | None = None
    type: str | None = None
    version_id: str | None = None
    snapshot: str | None = None


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
    path: str | None = None  # in the source, by which the file is found there again
    version: str | None = None  # of the file, where the path alone means the newest
    etag: str | None = None
    content_encoding: str | None = None  # how the bytes are compressed, whatever the name says
    sql: str | None = None
    params: tuple[Any, ...] = ()
    format: FileFormat | None = None
    started_at: float | None = None  # Unix seconds
    snapshot_at: float | None = None  # by the source's clock: what the data were at that moment
    server_version: str | None = None


def check_reference(reference: DataReference) -> None:
    """Raises InvalidRequest unless exactly one of path, query and table is given, and sensibly."""
    given = [name for name in ("path", "query", "table") if getattr(reference, name) is not None]
    if len(given) != 1:
        found = "none was given" if not given else f"{' and '.join(given)} were given"
        raise InvalidRequest(
            f"a reference to data names exactly one of 'path', 'query' and 'table'; {found}",
            param=given[1] if given else "path",
        )
    if not str(getattr(reference, given[0])).strip():
        raise InvalidRequest(f"'{given[0]}' is empty", param=given[0])
    if reference.path is not None and reference.format != "csv":
        raise InvalidRequest("'format' is for queries and tables; files stay as they are", param="format")
    if reference.path is None and (reference.version_id or reference.snapshot):
        raise InvalidRequest(
            "'version_id' and 'snapshot' are for files, named by 'path'",
            param="version_id" if reference.version_id else "snapshot",
        )
    if reference.max_rows is not None and reference.max_rows < 1:
        raise InvalidRequest("'max_rows' must be at least 1", param="max_rows")
