"""What a data source is: its configuration, its items, its connector and the abilities a connector may have."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel

from deepanalyze.datasources.limits import SourceDefaults

ItemKind = Literal["folder", "blob", "schema", "table", "view", "materialized_view", "foreign_table", "file"]


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
    """`type` is in the source's own words, for PostgreSQL as `format_type` gives it; `dtype` is what pandas gets from
    the loader that knows it, where that is known.
    """

    name: str
    type: str
    dtype: str | None = None


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
    """Config fields that name the server's own files or sockets; refused to analysts."""

    @classmethod
    def admin_only_in(cls, config: Mapping[str, Any]) -> Collection[str]:
        """The fields of this config, not validated yet, that only an administrator may set so: those above, and values
        that borrow the server's own identity.
        """
        return cls.admin_only_fields & config.keys()

    def __init__(self, config: DataSourceConfig) -> None:
        self.config = config
        self.defaults = SourceDefaults()
        self.last_error: Exception | None = None

    @property
    def _label(self) -> str:
        """How messages name the source."""
        return self.config.name or self.config.id

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
        """What `test` shows of the server: version, product, TLS; `warnings`, if any, is a list of sentences."""
        return {}

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.disconnect()
