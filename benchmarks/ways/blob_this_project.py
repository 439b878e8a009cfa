"""`fetch` is what people use; `download` is the connector's own call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.ways import blobs
from benchmarks.ways.blobs import Listed
from deepanalyze.datasources import AzureBlobConnector, DataSourceConfig
from deepanalyze.datasources.fetch import fetch
from deepanalyze.datasources.limits import Limits
from deepanalyze.datasources.references import DataReference

LIMITS = Limits(max_file_bytes=1024**4, max_fetch_bytes=1024**4)


class Connector:
    def __init__(self, connector: AzureBlobConnector) -> None:
        self._connector = connector

    async def download(self, name: str, file: Path) -> None:
        await self._connector.download(name, file, max_bytes=LIMITS.max_file_bytes)

    async def list_all(self, prefix: str) -> Listed:
        return [
            (item.path, item.size or 0, item.modified_at or 0)
            async for item in self._connector.iter_items(prefix, recursive=True)
        ]

    async def list_level(self, prefix: str) -> list[str]:
        return [item.path for item in await self._connector.list_items(prefix) if item.kind == "folder"]


@asynccontextmanager
async def opened() -> AsyncIterator[AzureBlobConnector]:
    config = {"connection_string": blobs.CONNECTION, "container_name": blobs.CONTAINER, "verify": True}
    async with AzureBlobConnector(DataSourceConfig("bench", "azure_blob", "bench", config)) as connector:
        yield connector


async def main() -> None:
    async with opened() as connector:

        async def fetched(path: str, directory: Path) -> object:
            return await fetch(connector, DataReference("bench", path=path), directory, limits=LIMITS)

        if sys.argv[1:] == ["fetch"]:
            await blobs.measure_whole(fetched)
        else:
            await blobs.measure_async(Connector(connector))


if __name__ == "__main__":
    asyncio.run(main())
