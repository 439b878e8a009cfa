"""The live side of an Azure Blob source."""

from __future__ import annotations

import asyncio
import logging
import mimetypes
import os
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from deepanalyze.datasources.base import DataItem, DataSourceConfig, OnProgress
from deepanalyze.datasources.capabilities import Downloaded, Head, PoolStats
from deepanalyze.datasources.connectors.azure_blob import properties, search
from deepanalyze.datasources.connectors.azure_blob.config import AzureBlobConfig
from deepanalyze.datasources.connectors.azure_blob.examples import EXAMPLES, PATH_PATTERNS
from deepanalyze.datasources.connectors.azure_blob.names import (
    BlobRef,
    check_characters,
    check_name,
    check_one,
)
from deepanalyze.datasources.connectors.azure_blob.paging import Pages
from deepanalyze.datasources.connectors.azure_blob.transfer import Downloads
from deepanalyze.datasources.connectors.azure_blob.uploading import Upload, uploaded
from deepanalyze.datasources.entra import borrows_identity
from deepanalyze.datasources.file_source import FileSource
from deepanalyze.datasources.paths import printable
from deepanalyze.datasources.schema import validate_config
from deepanalyze.datasources.session_connector import SessionConnector
from deepanalyze.errors import (
    BlobNotFound,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    ReadOnlyViolation,
    SourceAuthenticationFailed,
)

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties

    from deepanalyze.datasources.connectors.azure_blob.session import ContainerSession

_log = logging.getLogger(__name__)


class AzureBlobConnector(SessionConnector["ContainerSession"], FileSource):
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
        self._warned_at: float | None = None

    @property
    def _session(self) -> ContainerSession:
        session = super()._session
        self._warn()
        return session

    @classmethod
    def admin_only_in(cls, config: Mapping[str, Any]) -> Collection[str]:
        return {*super().admin_only_in(config), *borrows_identity(config)}

    async def _new_session(self) -> ContainerSession:
        # 0.4 s of imports, which would hold the event loop
        session_class = await asyncio.to_thread(_session_class)
        session = session_class(self._label, self._settings, self.defaults)
        await session.open()
        self._warn()
        return session

    async def _probe(self) -> None:
        session = self._session
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
            "authentication": self._settings.credential or self._account.way,
            "warnings": self._warnings(),
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

    def pool_stats(self) -> PoolStats | None:
        return None if self._open is None else self._open.pool_stats()

    def _warn(self) -> None:
        """Once a day, since a connector may stay open for months."""
        now = time.monotonic()
        if self._warned_at is not None and now < self._warned_at + 24 * 60 * 60:
            return
        self._warned_at = now
        for warning in self._warnings():
            _log.warning(
                "credentials of a data source need attention",
                extra={"source_id": self.config.id, "warning": warning},
            )

    def _warnings(self) -> list[str]:
        sas = self._account.sas_facts
        if sas is None:
            return []
        return sas.warnings(time.time(), self._settings.sas_expiry_warning_days, self._settings.read_only)

    async def list_items(self, path: str | None = None) -> list[DataItem]:
        """Folders and blobs right below `path`, a folder with or without its last `/`. Where no such folder is,
        `path` may also be the beginning of names.
        """
        return [item async for item in self.iter_items(path)]

    async def iter_items(
        self, path: str | None = None, *, recursive: bool = False
    ) -> AsyncIterator[DataItem]:
        for prefix in _prefixes(path):
            empty = True
            async for page in self._session.pages(prefix, folders=not recursive):
                for item in page.items:
                    empty = False
                    yield item
            if not empty:
                return

    async def page_items(
        self, path: str | None = None, *, recursive: bool = False, limit: int = 100, after: str | None = None
    ) -> tuple[list[DataItem], str | None]:
        """In the service's own order and by its own markers, so that every page is one request or two."""
        pages = Pages(self._session, folders=not recursive, limit=limit)
        if after is not None:
            return await pages.after(after, _prefixes(path))
        for prefix in _prefixes(path):
            items, end = await pages.of(prefix)
            if items:
                return items, end
        return [], None

    async def find(self, path: str) -> list[DataItem]:
        """The blobs of a name, a glob or a prefix ending in `/`. A name with `*`, `?`, `[` or `{` in it is tried as
        such first. Raises BlobNotFound with the nearest names.
        """
        check_name(path)
        return await search.find(self._session, path, max_files=self.defaults.limits.max_files)

    async def download(
        self, path: str, destination: Path, *, max_bytes: int, on_progress: OnProgress | None = None
    ) -> Downloaded:
        """Of a version or snapshot too, named by `?versionid=…` or `?snapshot=…` behind the name, as in the portal."""
        check_one(path)
        session, downloads = self._downloads()
        return await session.run(
            downloads.whole(path, destination, max_bytes=max_bytes, on_progress=on_progress)
        )

    async def download_item(
        self, item: DataItem, destination: Path, *, max_bytes: int, on_progress: OnProgress | None = None
    ) -> Downloaded:
        check_characters(item.path)  # whatever else the name holds, the ETag says which blob is meant
        session, downloads = self._downloads()
        return await session.run(
            downloads.listed(item, destination, max_bytes=max_bytes, on_progress=on_progress)
        )

    async def head(self, path: str, destination: Path, *, length: int) -> Head:
        check_one(path)
        session, downloads = self._downloads()
        return await session.run(downloads.head(path, destination, length=length))

    def _downloads(self) -> tuple[ContainerSession, Downloads]:
        return self._session, Downloads(self._session, self._settings.verify)

    def _name_of(self, path: str) -> str:
        return BlobRef.parse(path).name

    def versioned(self, path: str, *, version_id: str | None = None, snapshot: str | None = None) -> str:
        ref = BlobRef(path, version_id, snapshot)
        if version_id and snapshot:
            raise InvalidRequest("name a version_id or a snapshot, not both", param="version_id")
        if BlobRef.parse(ref.path) != ref:
            raise InvalidRequest(
                "a version or snapshot is named by its time, as 2025-01-31T08:00:00.0000000Z",
                param="version_id",
            )
        return ref.path

    async def get_metadata(self, identifier: str) -> dict[str, Any]:
        check_one(identifier)
        session = self._session
        found = await session.run(session.properties(identifier))
        return properties.describe(found, await self._tags(session, identifier, found))

    async def _tags(
        self, session: ContainerSession, path: str, found: BlobProperties
    ) -> Mapping[str, str] | None:
        if not found.tag_count:
            return {}
        try:
            return await session.run(session.tags(path))
        except SourceAuthenticationFailed:  # tags are a permission of their own
            return None

    async def upload_file(
        self, local_path: str | Path, blob_name: str | None = None, overwrite: bool = False
    ) -> str:
        """Writes a local file to the container and returns the blob's name, by default the file's own below
        `upload_prefix`. Raises NotFound where there is no such file, and as `upload`.
        """
        local = Path(local_path)
        name = (self._settings.upload_prefix or "") + local.name if blob_name is None else blob_name
        self._check_may_write(name)
        if not local.is_file():
            raise NotFound(f"there is no local file '{local.name}' to upload", param="local_path")
        with local.open("rb") as file:
            await self.upload(file, name, overwrite=overwrite)
        return name

    async def upload(
        self,
        file: BinaryIO,
        path: str,
        *,
        overwrite: bool = False,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> DataItem:
        """In blocks, never whole in memory. Nothing is there under that name until all of it is."""
        self._check_may_write(path)
        session = self._session
        upload = Upload(
            size=os.fstat(file.fileno()).st_size,
            overwrite=overwrite,
            content_type=content_type or mimetypes.guess_type(path)[0],
            metadata=metadata,
        )
        return await session.run(uploaded(session, file, path, upload))

    def _check_may_write(self, name: str) -> None:
        if self._settings.read_only:
            raise ReadOnlyViolation(
                f"source '{self._label}' is read-only, so '{printable(name)}' was not uploaded; "
                "set read_only to false to allow it"
            )
        check_name(name, "blob_name")
        dots = any(part in (".", "..") for part in name.split("/"))
        if dots or name.endswith("/") or "\\" in name or BlobRef.parse(name).is_version:
            raise InvalidRequest(f"'{printable(name)}' is no name for a new blob", param="blob_name")
        prefix = self._settings.upload_prefix
        if prefix is not None and not name.startswith(prefix):
            raise PermissionDenied(
                f"source '{self._label}' takes uploads below '{prefix}' only (upload_prefix), so '{printable(name)}' "
                "was not uploaded",
                param="blob_name",
            )


def _prefixes(path: str | None) -> list[str]:
    """Of a folder with or without its last `/`, else of names that begin so."""
    check_characters(path or "")
    return [path or ""] if not path or path.endswith("/") else [path + "/", path]


def _session_class() -> type[ContainerSession]:
    from deepanalyze.datasources.connectors.azure_blob.session import ContainerSession

    return ContainerSession
