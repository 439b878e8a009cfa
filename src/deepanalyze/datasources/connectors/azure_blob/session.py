"""The open connections to one container.

Two ways lead there. obstore moves the bytes of downloads, for a third of the SDK's CPU time, and tries once. The SDK
does the rest: properties, uploads, versions, names that obstore cannot express, and every range that obstore failed
at, so that retrying and telling what went wrong happen in one place only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

import aiohttp
from azure.core import MatchConditions
from azure.core.pipeline.policies import UserAgentPolicy
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob import BlobBlock, BlobProperties, ContentSettings
from azure.storage.blob.aio import BlobClient, ContainerClient

from deepanalyze.datasources.capabilities import PoolStats
from deepanalyze.datasources.connectors.azure_blob.account import BlobAccount, is_local
from deepanalyze.datasources.connectors.azure_blob.authorisation import Authorisation
from deepanalyze.datasources.connectors.azure_blob.config import AzureBlobConfig
from deepanalyze.datasources.connectors.azure_blob.errors import BlobErrors
from deepanalyze.datasources.connectors.azure_blob.lister import Lister
from deepanalyze.datasources.connectors.azure_blob.listing import Page
from deepanalyze.datasources.connectors.azure_blob.names import BlobRef
from deepanalyze.datasources.connectors.azure_blob.network import (
    CheckedResolver,
    UnfoldedSession,
    check_address,
)
from deepanalyze.datasources.connectors.azure_blob.retries import BoundedRetry
from deepanalyze.datasources.connectors.azure_blob.slots import Slots
from deepanalyze.datasources.connectors.azure_blob.store import RangeReader
from deepanalyze.datasources.connectors.azure_blob.tls import trusting
from deepanalyze.datasources.connectors.azure_blob.uploading import Upload
from deepanalyze.datasources.limits import SourceDefaults
from deepanalyze.datasources.running import Running, first_of
from deepanalyze.datasources.undoing import made_in_thread
from deepanalyze.errors import SourceUnavailable

T = TypeVar("T")
Write = Callable[[int, Any], None]
Read = Callable[[int, int, str, Write], int]

_log = logging.getLogger(__name__)

_STALL_S = 20.0  # without a single byte
_BLOCK_BYTES = 1024**2  # of uploads; aiohttp holds the event loop for too long with larger ones
_BLOCKS_AT_ONCE = 4
_SDK_RANGE_BYTES = 4 * 1024**2  # it holds a range whole in memory
_USER_AGENT = "deepanalyze"


class ContainerSession:
    """`defaults.pool.max_size` bounds how many requests run at a time, and with that the memory they hold."""

    def __init__(self, source: str, config: AzureBlobConfig, defaults: SourceDefaults) -> None:
        self._account: BlobAccount = config.account
        self._config = config
        self._connect_s = config.connect_timeout_s or defaults.timeouts.connect_s
        self._retries = defaults.retries
        self._max_connections = defaults.pool.max_size
        self._network = defaults.network.narrowed(config.allowed_networks or ())
        # Proxies lead outwards, and past the networks that are allowed.
        self._through_proxies = not is_local(self._account.host) and not self._network.layers
        self.errors = BlobErrors(source, self._account, config.container_name)
        self._authorisation = Authorisation(self._account, config.container_name, config, source)
        self._resources = AsyncExitStack()
        self._told_of_fallback = False
        running = Running(lambda: SourceUnavailable(f"source '{source}' was closed while it was in use"))
        self.run, self._end_running = running.run, running.close

    async def open(self) -> None:
        await check_address(self._account.host, self._network, by_name=self._through_proxies)
        async with AsyncExitStack() as resources:
            await resources.enter_async_context(self._authorisation)
            self._slots = Slots(self._max_connections)
            self._threads = ThreadPoolExecutor(self._max_connections, thread_name_prefix="azure-blob")
            resources.callback(self._threads.shutdown, wait=False)
            self._reader = RangeReader(
                self._account,
                self._config.container_name,
                connect_s=self._connect_s,
                stall_s=_STALL_S,
                network=self._network,
                ca_certificate=self._config.ca_certificate,
                through_proxies=self._through_proxies,
            )
            transport = await self._transport()
            self._client = self._sdk_client(transport)
            resources.push_async_callback(self._client.close)
            self._lister = Lister(
                self._account.endpoint,
                self._config.container_name,
                self._authorisation,
                transport,
                [UserAgentPolicy(_USER_AGENT), BoundedRetry(self._retries)],
            )
            resources.push_async_callback(self._lister.close)
            self._resources = resources.pop_all()

    async def close(self) -> None:
        """Ends what still runs: its callers get SourceUnavailable."""
        await self._end_running()
        await self._resources.aclose()

    @property
    def server(self) -> str | None:
        """What the service says of itself, once it was asked for a listing."""
        return self._lister.server

    def pool_stats(self) -> PoolStats:
        return self._slots.stats()

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def properties(self, path: str) -> BlobProperties:
        """Of a blob, or of a version or snapshot of it."""
        with self.errors.mapped("read", blob=path):
            async with self._slots:
                return await self._blob(BlobRef.parse(path)).get_blob_properties()

    async def tags(self, path: str) -> Mapping[str, str]:
        with self.errors.mapped("read", blob=path):
            async with self._slots:
                return await self._blob(BlobRef.parse(path)).get_blob_tags()

    async def page(
        self,
        prefix: str = "",
        *,
        folders: bool = False,
        marker: str | None = None,
        max_results: int | None = None,
    ) -> Page:
        try:
            with self.errors.mapped("list"):
                async with self._slots:
                    return await self._lister.page(
                        prefix, folders=folders, marker=marker, max_results=max_results
                    )
        except ValueError:
            raise self._no_blob_service() from None

    async def pages(self, prefix: str = "", *, folders: bool = False) -> AsyncIterator[Page]:
        marker: str | None = None
        while True:
            page = await self.run(self.page(prefix, folders=folders, marker=marker))
            yield page
            if page.next_marker is None:
                return
            if page.next_marker == marker:
                raise self._no_blob_service()
            marker = page.next_marker

    async def read_range(self, blob: BlobRef, start: int, length: int, etag: str, write: Write) -> None:
        """Reads a range and hands it to `write(start, data)` in a worker thread. Raises Stale if the blob changed."""
        async with self._slots:
            if self._reader.takes(blob):
                authorisation = await self._authorisation.for_obstore()
                arrived = await self.in_thread(
                    self._reader.read, authorisation, blob.name, start, length, etag, write
                )
                start, length = start + arrived, length - arrived
                self._tell_of_fallback(length)
            while length > 0:
                part = min(length, _SDK_RANGE_BYTES)
                await self.in_thread(write, start, await self._sdk_range(blob, start, part, etag))
                start, length = start + part, length - part

    async def at_once(
        self, blob: BlobRef, bring: Callable[[Read], bool], undo: Callable[[bool], object]
    ) -> bool:
        """`bring` in a worker thread, with a way to read in there; whether it brought the blob. Undone where nobody
        waits for it any more.
        """
        if not self._reader.takes(blob):
            return False
        async with self._slots:
            read = partial(self._reader.read, await self._authorisation.for_obstore(), blob.name)
            return await made_in_thread(lambda: bring(read), undo, self._threads)

    def _tell_of_fallback(self, missing: int) -> None:
        """Once, and without its words, which may quote a signed URL: that downloads cost more is worth knowing."""
        if missing and not self._told_of_fallback:
            self._told_of_fallback = True
            _log.info(
                "a range was read by the SDK, since obstore failed", extra={"source": self.errors.source}
            )

    async def _sdk_range(self, blob: BlobRef, start: int, length: int, etag: str) -> bytes:
        with self.errors.mapped("read", blob=blob.path):
            stream = await self._blob(blob).download_blob(
                offset=start,
                length=length,
                etag=etag,
                match_condition=MatchConditions.IfNotModified,
                decompress=False,
            )
            return await stream.readall()

    async def write(self, name: str, content: AsyncIterator[bytes], upload: Upload) -> Mapping[str, Any]:
        """What the service answers. Raises AlreadyExists where there is such a blob and it is not to be overwritten."""
        blob = self._client.get_blob_client(name)
        settings = ContentSettings(content_type=upload.content_type) if upload.content_type else None
        details: dict[str, Any] = {"content_settings": settings, "metadata": dict(upload.metadata or {})}
        if not upload.overwrite:  # the service itself refuses, by `If-None-Match: *`
            details["match_condition"] = MatchConditions.IfMissing
        with self.errors.mapped("write", blob=name):
            if upload.size <= _BLOCK_BYTES:
                data = b"".join([part async for part in content])
                async with self._slots:
                    return await blob.upload_blob(
                        data, length=len(data), overwrite=upload.overwrite, **details
                    )
            blocks = await self._staged(blob, content)
            async with self._slots:
                return await blob.commit_block_list(blocks, **details)

    async def _staged(self, blob: BlobClient, content: AsyncIterator[bytes]) -> list[BlobBlock]:
        """Several at a time. What is staged and never committed is forgotten by the service after a week."""
        staging = asyncio.Semaphore(_BLOCKS_AT_ONCE)
        blocks: list[BlobBlock] = []

        async def stage(block: BlobBlock, part: bytes) -> None:
            try:
                async with self._slots:
                    await blob.stage_block(block.id, part, length=len(part))
            finally:
                staging.release()

        try:
            async with asyncio.TaskGroup() as group:
                async for part in content:
                    await staging.acquire()
                    blocks.append(BlobBlock(f"{len(blocks):08}"))
                    group.create_task(stage(blocks[-1], part))
        except BaseExceptionGroup as failures:
            raise first_of(failures) from None
        return blocks

    def _no_blob_service(self) -> SourceUnavailable:
        return SourceUnavailable(
            f"source '{self.errors.source}': {self._account.address} does not answer like a blob service; "
            "check the account's address"
        )

    def _blob(self, blob: BlobRef) -> BlobClient:
        return self._client.get_blob_client(blob.name, snapshot=blob.snapshot, version_id=blob.version_id)

    async def _transport(self) -> AioHttpTransport:
        pem = self._config.ca_certificate
        trusted = True if pem is None else await asyncio.to_thread(trusting, pem)
        http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._max_connections, resolver=CheckedResolver(self._network), ssl=trusted
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=self._through_proxies,
            auto_decompress=False,
        )
        session: Any = UnfoldedSession(http)
        return AioHttpTransport(session=session, connection_timeout=self._connect_s, read_timeout=_STALL_S)

    def _sdk_client(self, transport: AioHttpTransport) -> ContainerClient:
        return ContainerClient(
            self._account.endpoint,
            self._config.container_name,
            credential=self._authorisation.for_sdk,
            transport=transport,
            retry_policy=BoundedRetry(self._retries),
            permit_redirects=False,
            max_single_put_size=_BLOCK_BYTES,
            max_block_size=_BLOCK_BYTES,
            user_agent=_USER_AGENT,
        )
