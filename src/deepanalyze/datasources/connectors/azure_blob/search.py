"""Which blobs a name, a glob or a prefix stands for."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from deepanalyze.datasources import finding
from deepanalyze.datasources.base import DataItem
from deepanalyze.datasources.connectors.azure_blob.names import leads_out
from deepanalyze.datasources.connectors.azure_blob.properties import item_of
from deepanalyze.errors import BlobNotFound

if TYPE_CHECKING:
    from deepanalyze.datasources.connectors.azure_blob.session import ContainerSession


async def find(session: ContainerSession, path: str, *, max_files: int) -> list[DataItem]:
    return await finding.find(_Blobs(session), path, max_files=max_files)


class _Blobs:
    """A container as a `finding.FileStore`."""

    noun = "blob"
    whole = "container"

    def __init__(self, session: ContainerSession) -> None:
        self._session = session
        self.source = session.errors.source
        self.no_such = session.errors.no_such_blob
        self.no_match = session.errors.no_match

    async def exact(self, name: str) -> DataItem | None:
        if leads_out(name):
            return None
        try:
            return item_of(await self._session.run(self._session.properties(name)))
        except BlobNotFound:
            return None

    async def below(self, prefix: str, depth: int | None = None) -> AsyncGenerator[DataItem]:
        async for page in self._session.pages(prefix):
            for item in page.items:
                yield item

    async def names(self, prefix: str, count: int) -> list[str]:
        page = await self._session.run(self._session.page(prefix, max_results=count))
        return [item.path for item in page.items]
