"""The open connections to one container.

Two ways lead there. obstore moves the bytes of downloads, for a third of the SDK's CPU time, and tries once. The SDK
does the rest: properties, uploads, names that obstore cannot express, and every range that obstore failed at, so
that retrying and telling what went wrong happen in one place only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import aiohttp
from azure.core import AsyncPipelineClient, MatchConditions
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import UserAgentPolicy
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import HttpRequest
from azure.storage.blob import (
    BlobProperties,
    ContainerSasPermissions,
    ContentSettings,
    generate_container_sas,
)
from azure.storage.blob.aio import ContainerClient

from deepanalyze.datasources.connectors.azure_blob.account import BlobAccount, is_local
from deepanalyze.datasources.connectors.azure_blob.errors import BlobErrors
from deepanalyze.datasources.connectors.azure_blob.listing import Page, listing_query, parse_page
from deepanalyze.datasources.connectors.azure_blob.network import CheckedResolver, check_address
from deepanalyze.datasources.connectors.azure_blob.retries import BoundedRetry
from deepanalyze.datasources.connectors.azure_blob.store import RangeReader
from deepanalyze.datasources.limits import RetryPolicy
from deepanalyze.datasources.policy import ANYWHERE, NetworkPolicy
from deepanalyze.errors import SourceUnavailable

T = TypeVar("T")

_STALL_S = 20.0  # without a single byte
_BLOCK_BYTES = 1024**2  # of uploads; aiohttp holds the event loop for too long with larger ones
_BLOCKS_AT_ONCE = 4
_USER_AGENT = "deepanalyze"
_LISTING_VERSION = "2021-12-02"  # the service encodes names that XML cannot hold since 2021-02-12


class ContainerSession:
    """`max_connections` bounds how many requests run at a time, and with that the memory they hold."""

    def __init__(
        self,
        source: str,
        account: BlobAccount,
        container: str,
        *,
        connect_s: float,
        retries: RetryPolicy,
        max_connections: int,
        network: NetworkPolicy = ANYWHERE,
    ) -> None:
        self.errors = BlobErrors(source, account, container)
        self._account = account
        self._container = container
        self._connect_s = connect_s
        self._retries = retries
        self._max_connections = max_connections
        self._network = network
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False
        self.server: str | None = None

    async def open(self) -> None:
        await check_address(self._account.host, self._network)
        make_reader = partial(RangeReader, connect_s=self._connect_s, stall_s=_STALL_S, network=self._network)
        self._reader = await asyncio.to_thread(make_reader, self._account, self._container)
        self._slots = asyncio.Semaphore(self._max_connections)
        self._threads = ThreadPoolExecutor(self._max_connections, thread_name_prefix="azure-blob")
        http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._max_connections, resolver=CheckedResolver(self._network)
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=not is_local(self._account.host),  # proxies lead outwards
            auto_decompress=False,
        )
        transport = AioHttpTransport(session=http, connection_timeout=self._connect_s, read_timeout=_STALL_S)
        self._client = ContainerClient(
            self._account.endpoint,
            self._container,
            credential=_credential(self._account),
            transport=transport,
            retry_policy=BoundedRetry(self._retries),
            permit_redirects=False,
            max_single_put_size=_BLOCK_BYTES,
            max_block_size=_BLOCK_BYTES,
            user_agent=_USER_AGENT,
        )
        self._lister = AsyncPipelineClient[HttpRequest, Any](
            self._account.endpoint,
            policies=[UserAgentPolicy(_USER_AGENT), BoundedRetry(self._retries)],
            transport=transport,
        )

    async def close(self) -> None:
        """Ends what still runs: its callers get SourceUnavailable."""
        self._closed = True
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._client.close()
        await self._lister.close()
        self._threads.shutdown(wait=False)

    async def run(self, operation: Coroutine[Any, Any, T]) -> T:
        """Awaits an operation in such a way that `close` can end it without cancelling its caller."""
        if self._closed:
            operation.close()
            raise self._was_closed()
        task = asyncio.create_task(operation)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self._closed and caller is not None and not caller.cancelling():
                raise self._was_closed() from None
            raise

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def properties(self, name: str) -> BlobProperties:
        with self.errors.mapped("read", blob=name):
            async with self._slots:
                return await self._client.get_blob_client(name).get_blob_properties()

    async def page(
        self,
        prefix: str = "",
        *,
        folders: bool = False,
        marker: str | None = None,
        max_results: int | None = None,
    ) -> Page:
        query = listing_query(prefix, folders=folders, marker=marker, max_results=max_results)
        url = f"{self._account.endpoint}/{self._container}?{query}&{self._listing_sas()}"
        with self.errors.mapped("list"):
            async with self._slots:
                response = await self._lister.send_request(
                    HttpRequest("GET", url, headers={"x-ms-version": _LISTING_VERSION})
                )
            if response.status_code != 200:
                raise HttpResponseError(response=response)
        self.server = response.headers.get("Server")
        try:
            return await self.in_thread(parse_page, response.content)
        except ValueError:
            raise SourceUnavailable(
                f"source '{self.errors.source}': {self._account.address} does not answer like a blob service; "
                "check the account's address"
            ) from None

    async def pages(self, prefix: str = "", *, folders: bool = False) -> AsyncIterator[Page]:
        marker: str | None = None
        while True:
            page = await self.run(self.page(prefix, folders=folders, marker=marker))
            yield page
            marker = page.next_marker
            if marker is None:
                return

    async def read_range(
        self, name: str, start: int, length: int, etag: str, write: Callable[[int, Any], None]
    ) -> None:
        """Reads a range and hands it to `write(start, data)` in a worker thread. Raises Stale if the blob changed."""
        async with self._slots:
            if self._reader.takes(name) and await self.in_thread(
                self._reader.read, name, start, length, etag, write
            ):
                return
            with self.errors.mapped("read", blob=name):
                stream = await self._client.get_blob_client(name).download_blob(
                    offset=start,
                    length=length,
                    etag=etag,
                    match_condition=MatchConditions.IfNotModified,
                    decompress=False,
                )
                data = await stream.readall()
            await self.in_thread(write, start, data)

    async def write(
        self,
        name: str,
        content: AsyncIterator[bytes],
        size: int,
        *,
        overwrite: bool,
        content_type: str | None,
    ) -> None:
        settings = ContentSettings(content_type=content_type) if content_type else None
        with self.errors.mapped("write", blob=name):
            async with self._slots:
                await self._client.get_blob_client(name).upload_blob(
                    content,
                    length=size,
                    overwrite=overwrite,
                    content_settings=settings,
                    max_concurrency=_BLOCKS_AT_ONCE,
                )

    def _listing_sas(self) -> str:
        """The source's own SAS, or one for this request, made from the account key."""
        if self._account.sas is not None:
            return self._account.sas.get_secret_value()
        assert self._account.key is not None
        assert self._account.name is not None
        return generate_container_sas(
            self._account.name,
            self._container,
            self._account.key.get_secret_value(),
            permission=ContainerSasPermissions(list=True),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )

    def _was_closed(self) -> SourceUnavailable:
        return SourceUnavailable(f"source '{self.errors.source}' was closed while it was in use")


def _credential(account: BlobAccount) -> AzureNamedKeyCredential | AzureSasCredential:
    if account.sas is not None:
        return AzureSasCredential(account.sas.get_secret_value())
    assert account.key is not None
    assert account.name is not None
    return AzureNamedKeyCredential(account.name, account.key.get_secret_value())
