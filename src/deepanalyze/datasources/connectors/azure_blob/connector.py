"""The live side of an Azure Blob source."""

from __future__ import annotations

import asyncio
import mimetypes
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from deepanalyze.datasources.base import DataItem, DataSourceConfig, OnProgress
from deepanalyze.datasources.capabilities import Downloaded, Head
from deepanalyze.datasources.connectors.azure_blob import properties, search, transfer
from deepanalyze.datasources.connectors.azure_blob.config import AzureBlobConfig
from deepanalyze.datasources.connectors.azure_blob.examples import EXAMPLES, PATH_PATTERNS
from deepanalyze.datasources.connectors.azure_blob.names import check_characters, check_name
from deepanalyze.datasources.file_source import FileSource
from deepanalyze.datasources.paths import printable
from deepanalyze.datasources.schema import validate_config
from deepanalyze.errors import (
    BlobNotFound,
    DeepAnalyzeError,
    NotFound,
    ReadOnlyViolation,
    SourceAuthenticationFailed,
    SourceUnavailable,
)

if TYPE_CHECKING:
    from deepanalyze.datasources.connectors.azure_blob.session import ContainerSession

_READ_BYTES = 1024**2


class AzureBlobConnector(FileSource):
    """One container of an Azure storage account."""

    config_model = AzureBlobConfig
    title: ClassVar[str] = "Azure Blob Storage"
    description: ClassVar[str] = (
        "Files in one container of an Azure storage account, or of the emulator Azurite."
    )
    examples: ClassVar[Sequence[Mapping[str, Any]]] = EXAMPLES
    path_patterns: ClassVar[Sequence[Mapping[str, str]]] = PATH_PATTERNS

    def __init__(self, config: DataSourceConfig) -> None:
        super().__init__(config)
        self._settings = validate_config(AzureBlobConfig, config.config)
        self._account = self._settings.account
        self._open: ContainerSession | None = None
        self._opening = asyncio.Lock()

    @property
    def _session(self) -> ContainerSession:
        if self._open is None:
            raise SourceUnavailable(f"source '{self._label}' is not connected; call connect() first")
        return self._open

    async def connect(self) -> None:
        async with self._opening:
            if self._open is not None:
                return
            # 0.4 s of imports, which would hold the event loop
            session_class = await asyncio.to_thread(_session_class)
            session = session_class(
                self._label,
                self._account,
                self._settings.container_name,
                connect_s=self._settings.connect_timeout_s or self.defaults.timeouts.connect_s,
                retries=self.defaults.retries,
                max_connections=self.defaults.pool.max_size,
                network=self.defaults.network,
            )
            await session.open()
            self._open = session

    async def disconnect(self) -> None:
        session, self._open = self._open, None
        if session is not None:
            await session.close()

    async def test_connection(self) -> bool:
        connected = self._open is not None
        try:
            await self.connect()
            await self._probe(self._session)
        except DeepAnalyzeError as error:
            self.last_error = error
            return False
        finally:
            if not connected:
                await self.disconnect()
        self.last_error = None
        return True

    async def _probe(self, session: ContainerSession) -> None:
        try:
            await session.run(session.page(max_results=1))
        except SourceAuthenticationFailed:
            sas = self._account.sas_facts
            if sas is None or sas.allows("l") is not False or not sas.allows("r"):
                raise
            # A SAS that may read but not list is good for exact names: ask for one that nobody has.
            try:
                await session.run(session.properties(f"deepanalyze-probe-{time.time_ns()}"))
            except BlobNotFound:
                return

    async def server_info(self) -> dict[str, Any]:
        """`version` is known once the container was listed, as `test_connection` does."""
        sas = self._account.sas_facts
        info: dict[str, Any] = {
            "product": "Azure Blob Storage",
            "version": self._session.server,
            "endpoint": self._account.endpoint,
            "tls": self._account.endpoint.startswith("https://"),
            "account": self._account.label,
            "container": self._settings.container_name,
            "authentication": "account_key" if sas is None else "sas",
        }
        if sas is not None:
            info["sas"] = {
                "permissions": sas.permission_names,
                "starts_at": sas.starts_at,
                "expires_at": sas.expires_at,
                "https_only": sas.https_only,
                "stored_access_policy": sas.policy,
            }
        return info

    async def list_items(self, path: str | None = None) -> list[DataItem]:
        """Folders and blobs right below `path`, a folder with or without its last `/`. Where no such folder is,
        `path` may also be the beginning of names.
        """
        return [item async for item in self.iter_items(path)]

    async def iter_items(
        self, path: str | None = None, *, recursive: bool = False
    ) -> AsyncIterator[DataItem]:
        check_characters(path or "")
        prefixes = [path or ""] if not path or path.endswith("/") else [path + "/", path]
        for prefix in prefixes:
            empty = True
            async for page in self._session.pages(prefix, folders=not recursive):
                for item in page.items:
                    empty = False
                    yield item
            if not empty:
                return

    async def find(self, path: str) -> list[DataItem]:
        """The blobs of a name, a glob or a prefix ending in `/`. A name with `*`, `?`, `[` or `{` in it is tried as
        such first. Raises BlobNotFound with the nearest names.
        """
        check_name(path)
        return await search.find(self._session, path, max_files=self.defaults.limits.max_files)

    async def download(
        self, path: str, destination: Path, *, max_bytes: int, on_progress: OnProgress | None = None
    ) -> Downloaded:
        check_name(path)
        session = self._session
        return await session.run(
            transfer.download(session, path, destination, max_bytes=max_bytes, on_progress=on_progress)
        )

    async def head(self, path: str, destination: Path, *, length: int) -> Head:
        check_name(path)
        session = self._session
        return await session.run(transfer.head(session, path, destination, length=length))

    async def get_metadata(self, identifier: str) -> dict[str, Any]:
        check_name(identifier)
        return properties.describe(await self._session.run(self._session.properties(identifier)))

    async def upload_file(
        self, local_path: str | Path, blob_name: str | None = None, overwrite: bool = False
    ) -> str:
        """Writes a local file to the container and returns the blob's name, by default the file's own. Raises
        ReadOnlyViolation unless the source is writable, and AlreadyExists unless `overwrite`.
        """
        path = Path(local_path)
        name = path.name if blob_name is None else blob_name
        if self._settings.read_only:
            raise ReadOnlyViolation(
                f"source '{self._label}' is read-only, so '{printable(name)}' was not uploaded; "
                "set read_only to false to allow it"
            )
        check_name(name, "blob_name")
        if not path.is_file():
            raise NotFound(f"there is no local file '{path.name}' to upload", param="local_path")
        await self._session.run(self._upload(self._session, path, name, overwrite))
        return name

    async def _upload(self, session: ContainerSession, path: Path, name: str, overwrite: bool) -> None:
        content_type = mimetypes.guess_type(name)[0]
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            await session.write(name, _chunks(file), size, overwrite=overwrite, content_type=content_type)


def _session_class() -> type[ContainerSession]:
    from deepanalyze.datasources.connectors.azure_blob.session import ContainerSession

    return ContainerSession


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, _READ_BYTES):
        yield chunk
