"""What a connector may be able to do besides the basics. Callers ask for the ability, never for the product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, runtime_checkable

from deepanalyze.datasources.base import Column, DataItem, OnProgress

if TYPE_CHECKING:
    import pandas as pd

FileFormat = Literal["csv", "parquet", "arrow"]
"""`arrow` is an IPC stream; the other two are what references may ask for."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A result or table written to a file. `rows` counts data rows; `truncated` says that there were more.

    Times are Unix seconds: `started_at` by this machine's clock, `snapshot_at` by the server's, when it took the
    snapshot that the data are of.
    """

    rows: int
    bytes: int
    truncated: bool
    columns: tuple[Column, ...]
    sql: str
    params: tuple[Any, ...] = ()
    started_at: float | None = None
    snapshot_at: float | None = None
    server_version: str | None = None


@dataclass(frozen=True, slots=True)
class Downloaded:
    bytes: int
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a file: `bytes` of its `size`."""

    bytes: int
    size: int
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in memory, for answers and previews. Values are what JSON can hold, and exact: integers, texts, booleans,
    None, lists and objects are themselves; a number is a float where its shortest decimal form is the value, else its
    text; so are NaN, infinities, times and whatever else JSON does not know.
    """

    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Any]]
    truncated: bool
    rows_affected: int | None = None
    """Of a statement that writes; None for one that reads."""


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """`count` is of values that are not NULL. `mean` and `stddev` (of a sample) are for numbers only; `min` and `max`
    for whatever has an order, as in `Table`. `distinct` is None where the type has no equality.
    """

    name: str
    type: str
    count: int
    nulls: int
    min: Any = None
    max: Any = None
    mean: float | None = None
    stddev: float | None = None
    distinct: int | None = None


@dataclass(frozen=True, slots=True)
class Statistics:
    """`estimated`: computed on a sample, and scaled to the whole where it counts something."""

    row_count: int
    estimated: bool
    columns: Sequence[ColumnStatistics]


@dataclass(frozen=True, slots=True)
class PoolStats:
    """A pool at this moment. `opened` and `failed` count connections, `waited` requests, since it was made."""

    in_use: int
    idle: int
    total: int
    waiting: int
    max_size: int
    min_size: int = 0
    opened: int = 0
    failed: int = 0
    waited: int = 0
    timed_out: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried or asked: what the credential alone could do, and whether this server lets it.

    `allowed` is what the server of the source would let the credential do (None: could not be told); `blocked` how
    DeepAnalyze keeps it from happening all the same (empty: not at all, or nothing to block).
    """

    check: str
    allowed: bool | None
    severity: Literal["high", "medium", "low", "none"]
    evidence: str
    blocked: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """How much a credential could do by itself. `A`: reads and nothing else. `B`: small things beyond that. `C`: may
    write or change what others see. `D`: may take over the server or leave the database.
    """

    grade: Literal["A", "B", "C", "D"]
    summary: str
    findings: Sequence[Finding]
    script: str
    """SQL that makes a credential which needs no guard at all."""
    details: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class SupportsExport(Protocol):
    """Can run SQL and write its result, or a whole relation, to a file."""

    async def export(
        self,
        destination: Path,
        *,
        query: str | None = None,
        table: str | None = None,
        params: Sequence[Any] = (),
        format: FileFormat = "csv",
        max_rows: int | None = None,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Exported:
        """Writes exactly one of `query` or `table` to `destination`, which must not exist yet and appears only when
        complete. Raises ReadOnlyViolation, QueryFailed, QueryTimeout, TableNotFound, ResultTooLarge or a SourceError.
        """


@runtime_checkable
class SupportsQuery(Protocol):
    """Can run SQL and hand back the rows."""

    async def query(
        self,
        sql: str,
        *,
        params: Sequence[Any] = (),
        max_rows: int | None = None,
        timeout_s: float | None = None,
    ) -> pd.DataFrame:
        """`attrs["truncated"]` of the frame tells whether there were more rows. `params`: the values of `$1`, `$2` …"""

    async def rows(
        self,
        sql: str,
        *,
        params: Sequence[Any] = (),
        max_rows: int | None = None,
        timeout_s: float | None = None,
        may_write: bool = True,
    ) -> Table:
        """The same as plain values. A source that is not read-only also runs one INSERT, UPDATE, DELETE or MERGE,
        unless the caller may not write.
        """


@runtime_checkable
class SupportsSchema(Protocol):
    async def schema(self) -> Mapping[str, Any]:
        """`{"schemas": [{"name", "comment", "relations": […]}], "relationships": [{"name", "from", "to"}]}`."""


@runtime_checkable
class SupportsPreview(Protocol):
    async def preview(self, path: str, *, limit: int = 10) -> Table:
        """The first `limit` rows of a relation or tabular file. Raises TableNotFound, or BlobNotFound."""


@runtime_checkable
class SupportsStatistics(Protocol):
    async def statistics(self, path: str) -> Statistics: ...


@runtime_checkable
class SupportsCertificate(Protocol):
    async def certify(self) -> Certificate:
        """Tries what the credential could do, without leaving a trace."""


@runtime_checkable
class SupportsPoolStats(Protocol):
    def pool_stats(self) -> PoolStats | None:
        """None while not connected."""


@runtime_checkable
class SupportsDownload(Protocol):
    """Holds files: finds them by pattern and streams them to disk."""

    async def find(self, path: str) -> list[DataItem]:
        """The files that a name, a glob or a prefix ending in `/` stands for. Raises BlobNotFound when none."""

    async def download(
        self, path: str, destination: Path, *, max_bytes: int, on_progress: OnProgress | None = None
    ) -> Downloaded:
        """Streams one file to `destination`, which appears only when complete. Raises FileTooLarge over `max_bytes`."""


@runtime_checkable
class SupportsItemDownload(Protocol):
    """Need not ask again for what `find` has told already."""

    async def download_item(
        self, item: DataItem, destination: Path, *, max_bytes: int, on_progress: OnProgress | None = None
    ) -> Downloaded:
        """As `download`, for a file as `find` gave it; one that changed since is read as it is now."""


@runtime_checkable
class SupportsVersions(Protocol):
    """Keeps older versions of its files."""

    def versioned(self, path: str, *, version_id: str | None = None, snapshot: str | None = None) -> str:
        """The path that stands for a version or snapshot of a file, for every call that takes a path."""


@runtime_checkable
class SupportsUpload(Protocol):
    """Takes files, where the source is writable."""

    async def upload(
        self,
        file: BinaryIO,
        path: str,
        *,
        overwrite: bool = False,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> DataItem:
        """Writes a regular file, from its beginning to its end, to `path`, and returns what is there now. Raises
        ReadOnlyViolation where the source is read-only, PermissionDenied outside of its `upload_prefix`, and
        AlreadyExists, unless `overwrite`.
        """


@runtime_checkable
class SupportsPages(Protocol):
    """Can give its items in pages by itself, so that a page costs the same wherever it begins."""

    async def page_items(
        self, path: str | None = None, *, recursive: bool = False, limit: int = 100, after: str | None = None
    ) -> tuple[list[DataItem], str | None]:
        """At most `limit` items, and where the next page begins, None at the end. `after`: where the last page
        ended.
        """
