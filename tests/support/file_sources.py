"""A file source over a directory, and what its files hold."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from deepanalyze.datasources import DataItem, DataSourceConfig, Downloaded, SourceDefaults, Statistics
from deepanalyze.datasources.base import OnProgress
from deepanalyze.datasources.capabilities import Head
from deepanalyze.datasources.file_source import FileSource
from deepanalyze.datasources.limits import check_file_size
from deepanalyze.errors import BlobNotFound
from tests.support.empty_source import EmptySource

# Of a blob as well as of a file on a disk.
ODD_FILE_NAMES = [
    "with space.csv",
    "snow ☃.csv",
    "e\u0301 and é",
    "100%.csv",
    "100%25.csv",
    "a#b.csv",
    "what?x=1&y.csv",
    "a+b.csv",
    "tab\tname.txt",
    "new\nline",
    "trailing dot.",
    "[1].csv",
    "{a,b}.csv",
    "star*.csv",
    "<&>\"'.csv",
    "semi;colon:and,comma=",
    "CASE.csv",
    "case.csv",
]

PACKED: Mapping[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    ".gz": gzip.compress,
    ".zst": lambda content: bytes(pa.compress(content, codec="zstd", asbytes=True)),
}


class FolderSource(FileSource, EmptySource):
    """The smallest file source there can be. `read_bytes` counts what was brought."""

    def __init__(self, root: Path, *, defaults: SourceDefaults | None = None) -> None:
        super().__init__(DataSourceConfig("folder", "folder", "folder"))
        self.defaults = defaults or SourceDefaults()
        self.root = root
        self.read_bytes = 0

    async def find(self, path: str) -> list[DataItem]:
        return []

    async def download(
        self, path: str, destination: Path, *, max_bytes: int, on_progress: OnProgress | None = None
    ) -> Downloaded:
        size = self._size(path)
        check_file_size(self.config.name, path, size, max_bytes)
        await self.head(path, destination, length=size)
        return Downloaded(size)

    async def head(self, path: str, destination: Path, *, length: int) -> Head:
        size = self._size(path)
        with (self.root / path).open("rb") as file:
            destination.write_bytes(file.read(length))
        self.read_bytes += min(length, size)
        return Head(min(length, size), size)

    def _size(self, path: str) -> int:
        if not (self.root / path).is_file():
            raise BlobNotFound(f"there is no file '{path}'")
        return (self.root / path).stat().st_size


def by_column(found: Statistics) -> dict[str, dict[str, Any]]:
    """Name, then what is known of it, without what is None."""
    names = ("type", "count", "nulls", "min", "max", "mean", "stddev", "distinct")
    return {
        column.name: {key: getattr(column, key) for key in names if getattr(column, key) is not None}
        for column in found.columns
    }
