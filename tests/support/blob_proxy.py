"""A wire between a client and Azurite that can be cut, counted and made to throttle."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_BUSY = (
    b"HTTP/1.1 503 Server Busy\r\nx-ms-error-code: ServerBusy\r\nRetry-After: %d\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


@dataclass
class BlobProxy:
    """`cut_after` closes each of the next `cuts` connections after that many bytes of answers; `busy` makes the next
    so many connections answer 503; `stalled` passes nothing on any more.
    """

    endpoint: str
    cut_after: int = 0
    cuts: int = 0
    busy: int = 0
    retry_after_s: int = 0
    connections: int = 0
    received: int = 0
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    on_bytes: Callable[[int], None] | None = None


@asynccontextmanager
async def blob_proxy(upstream_endpoint: str) -> AsyncIterator[BlobProxy]:
    upstream = urlsplit(upstream_endpoint)
    assert upstream.hostname is not None
    proxy = BlobProxy("")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await _serve(proxy, upstream.hostname or "", upstream.port or 80, reader, writer)
        writer.close()
        tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    proxy.endpoint = f"http://127.0.0.1:{port}{upstream.path}"
    try:
        yield proxy
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _serve(
    proxy: BlobProxy, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    proxy.connections += 1
    if proxy.busy > 0:
        proxy.busy -= 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_BUSY % proxy.retry_after_s)
        await writer.drain()
        return
    up_reader, up_writer = await asyncio.open_connection(host, port)
    upwards = asyncio.create_task(_pass(reader, up_writer))
    try:
        await _pass_back(proxy, up_reader, writer)
    finally:
        upwards.cancel()
        up_writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def _pass_back(proxy: BlobProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    here = 0
    while data := await reader.read(65536):
        if proxy.stalled.is_set():
            await asyncio.Event().wait()
        here += len(data)
        proxy.received += len(data)
        if proxy.on_bytes is not None:
            proxy.on_bytes(proxy.received)
        if proxy.cuts > 0 and here > proxy.cut_after:
            proxy.cuts -= 1
            return
        writer.write(data)
        await writer.drain()
