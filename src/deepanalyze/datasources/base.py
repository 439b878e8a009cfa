"""What a data source is: its configuration, its items, its connector and the abilities a connector may have."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from pydantic import BaseModel

from deepanalyze.datasources.limits import SourceDefaults

if TYPE_CHECKING:
    import pandas as pd

ItemKind = Literal["folder", "blob", "schema", "table", "view", "materialized_view", "foreign_table", "file"]
FileFormat = Literal["csv", "parquet"]


class DataSourceType(str):
    """An open string type: the built-in names below, and any other name that a connector is registered for."""

    AZURE_BLOB: ClassVar[DataSourceType]
    POSTGRESQL: ClassVar[DataSourceType]
    LOCAL_FILE: ClassVar[DataSourceType]
    CUSTOM: ClassVar[DataSourceType]

    @property
    def value(self) -> str:
        return str(self)


DataSourceType.AZURE_BLOB = DataSourceType("azure_blob")
DataSourceType.POSTGRESQL = DataSourceType("postgresql")
DataSourceType.LOCAL_FILE = DataSourceType("local_file")
DataSourceType.CUSTOM = DataSourceType("custom")


@dataclass(slots=True)
class DataSourceConfig:
    """One source as plain data; `config` is validated by the connector's own model when it is registered."""

    id: str
    type: str
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    created_at: int = field(default_factory=lambda: int(time.time()))

    def __repr__(self) -> str:
        from deepanalyze.datasources.credentials import sanitize

        return (
            f"DataSourceConfig(id={self.id!r}, type={self.type!r}, name={self.name!r}, "
            f"config={sanitize(self.config)!r})"
        )


@dataclass(frozen=True, slots=True)
class DataItem:
    """One blob, folder, schema, table, view or file.

    `path` is what other calls take: a blob's full name, or `schema.table` in SQL's own quoting.
    `size` is in bytes, `modified_at` in Unix seconds; both are None where the source does not know them.
    """

    name: str
    path: str
    kind: ItemKind
    size: int | None = None
    modified_at: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transfer has come; `total_bytes` is None where the source cannot tell it."""

    bytes: int
    rows: int | None = None
    total_bytes: int | None = None


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str  # in the source's own words, for PostgreSQL as format_type gives it


@dataclass(frozen=True, slots=True)
class Exported:
    """A result or table written to a file. `rows` counts data rows; `truncated` says that there were more."""

    rows: int
    bytes: int
    truncated: bool
    columns: tuple[Column, ...]
    sql: str


@dataclass(frozen=True, slots=True)
class Downloaded:
    bytes: int
    etag: str | None = None


class DataSourceConnector(ABC):
    """The live side of a data source: one shared, concurrency-safe object for each configured source.

    The registry makes it, sets `defaults`, and calls `connect` before its first use and `disconnect` at its end.
    Constructors do no I/O. Every failure is raised as one of `deepanalyze.errors`.
    """

    config_model: ClassVar[type[BaseModel] | None] = None
    """Validates `config.config`, marks secrets (`SecretStr`) and describes every parameter."""

    title: ClassVar[str] = ""
    description: ClassVar[str] = ""

    examples: ClassVar[Sequence[Mapping[str, Any]]] = ()
    """For templates, one for each way to authenticate: `{"title", "description", "config"}`, secrets made up."""

    sample_queries: ClassVar[Sequence[Mapping[str, str]]] = ()
    """For templates: `{"title", "sql"}`."""

    path_patterns: ClassVar[Sequence[Mapping[str, str]]] = ()
    """For templates: `{"pattern", "description"}`."""

    admin_only: ClassVar[bool] = False
    """Reaches what belongs to the server itself (its files), so that analysts may not add such a source."""

    admin_only_fields: ClassVar[frozenset[str]] = frozenset()
    """Config fields that borrow the server's identity or name its files; refused to analysts."""

    def __init__(self, config: DataSourceConfig) -> None:
        self.config = config
        self.defaults = SourceDefaults()
        self.last_error: Exception | None = None

    @abstractmethod
    async def connect(self) -> None:
        """Opens what is shared between calls (a pool, an HTTP session). A second call does nothing."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Closes everything that `connect` and later calls opened; running work is ended."""

    @abstractmethod
    async def test_connection(self) -> bool:
        """Asks the source for something that needs the credentials. False leaves the reason in `last_error`."""

    @abstractmethod
    async def list_items(self, path: str | None = None) -> list[DataItem]:
        """The items right below `path` (a blob prefix or a schema), or the topmost ones."""

    @abstractmethod
    async def fetch_data(self, identifier: str, workspace: str | Path) -> str:
        """Brings a blob, a relation or a query's result into the directory; returns the local path."""

    @abstractmethod
    async def get_metadata(self, identifier: str) -> dict[str, Any]:
        """Properties of a blob, or columns and constraints of a relation."""

    async def iter_items(
        self, path: str | None = None, *, recursive: bool = False
    ) -> AsyncIterator[DataItem]:
        for item in await self.list_items(path):
            yield item

    async def server_info(self) -> dict[str, Any]:
        """What `test` shows of the server: version, product, TLS."""
        return {}

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.disconnect()


@runtime_checkable
class SupportsExport(Protocol):
    """Can run SQL and write its result, or a whole relation, to a file."""

    async def export(
        self,
        destination: Path,
        *,
        query: str | None = None,
        table: str | None = None,
        format: FileFormat = "csv",
        max_rows: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> Exported:
        """Writes exactly one of `query` or `table` to `destination`, which must not exist yet and appears only when
        complete. Raises ReadOnlyViolation, QueryFailed, QueryTimeout, TableNotFound, ResultTooLarge or a SourceError.
        """


@runtime_checkable
class SupportsQuery(Protocol):
    """Can run SQL and hand back the rows."""

    async def query(self, sql: str, *, max_rows: int | None = None) -> pd.DataFrame: ...


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
class SupportsUpload(Protocol):
    async def upload_file(
        self, local_path: str | Path, blob_name: str | None = None, overwrite: bool = False
    ) -> str: ...
