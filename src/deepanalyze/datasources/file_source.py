"""What sources of files have in common, whatever keeps the files."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from pathlib import Path

from deepanalyze.datasources.base import DataItem, DataSourceConnector, OnProgress
from deepanalyze.datasources.capabilities import Downloaded, Head, Statistics, Table
from deepanalyze.datasources.files import landing_name
from deepanalyze.datasources.paths import printable
from deepanalyze.datasources.tabular import looking
from deepanalyze.datasources.tabular.answers import FileLabel
from deepanalyze.errors import AlreadyExists, InvalidRequest


class FileSource(DataSourceConnector):
    """A connector whose items are files: it finds them by pattern and brings them as they are."""

    @abstractmethod
    async def find(self, path: str) -> list[DataItem]:
        """The files that a name, a glob or a prefix ending in `/` stands for. Raises BlobNotFound with the nearest
        names when there are none, and FileTooLarge when they are more than `limits.max_files`.
        """

    @abstractmethod
    async def download(
        self, path: str, destination: Path, *, max_bytes: int, on_progress: OnProgress | None = None
    ) -> Downloaded:
        """Streams one file to `destination`, which appears only when complete. Raises FileTooLarge over `max_bytes`,
        and AlreadyExists where there is something already.
        """

    async def download_item(
        self, item: DataItem, destination: Path, *, max_bytes: int, on_progress: OnProgress | None = None
    ) -> Downloaded:
        """As `download`, for a file as `find` gave it; one that changed since is read as it is now."""
        return await self.download(item.path, destination, max_bytes=max_bytes, on_progress=on_progress)

    @abstractmethod
    async def head(self, path: str, destination: Path, *, length: int) -> Head:
        """Writes the first `length` bytes of a file, or all of a shorter one, to `destination`, as `download` does."""

    async def preview(self, path: str, *, limit: int = 10) -> Table:
        """The first rows of a CSV, TSV, JSON, JSON Lines, Parquet or Excel file, also of one in gzip or zstd; columns
        have DuckDB's types. Values whose text is longer than 1,000 characters are given as their beginning and an
        ellipsis. Raises InvalidRequest for a file that cannot be read and a limit outside of 1 to 1,000, NotSupported
        for what is no table, and FileTooLarge where the whole file is needed.
        """
        return await looking.preview(self, self._labelled(path), limit=limit)

    async def statistics(self, path: str) -> Statistics:
        """Of the whole file, exactly. Raises as `preview`, and QueryTimeout."""
        return await looking.statistics(self, self._labelled(path))

    def _labelled(self, path: str) -> FileLabel:
        return FileLabel(self._label, path, self._name_of(path))

    def _name_of(self, path: str) -> str:
        """The name with its ending, where a path may hold more than that."""
        return path

    async def fetch_data(self, identifier: str, workspace: str | Path) -> str:
        """Brings one file under its own base name; where that is taken, `name-2.ext` and so on is used."""
        found = await self.find(identifier)
        if len(found) > 1:
            raise InvalidRequest(
                f"source '{self._label}': '{printable(identifier)}' stands for {len(found)} files; "
                "name one of them, or use find and download",
                param="path",
            )
        await asyncio.to_thread(Path(workspace).mkdir, parents=True, exist_ok=True)
        wanted = Path(workspace) / landing_name(found[0].name.replace("/", "_"))
        number = 1
        while True:
            destination = wanted if number == 1 else wanted.with_stem(f"{wanted.stem}-{number}")
            number += 1
            try:
                if not destination.exists():
                    await self.download_item(
                        found[0], destination, max_bytes=self.defaults.limits.max_file_bytes
                    )
                    return str(destination)
            except AlreadyExists:  # came meanwhile
                continue
