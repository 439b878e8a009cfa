"""A proxy in front of a real PostgreSQL: it cuts, holds or slows the wire, and speaks TLS for a server without."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_PIECE = 16 * 1024


class TcpProxy:
    """`port` is where it listens. Counts connections; what it is told holds for those that are open, too."""

    def __init__(self, target: tuple[str, int], tls: ssl.SSLContext | None) -> None:
        self.port = 0
        self.connections = 0
        self.refusing = False
        self._target = target
        self._tls = tls
        self._open: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._cut_after: int | None = None
        self._bytes_per_s: float | None = None

    def hold(self) -> None:
        """Nothing passes any more, as when a cable is pulled: no error, no end."""
        self._flowing.clear()

    def release(self) -> None:
        self._flowing.set()

    def cut(self) -> None:
        """Ends every connection without a word."""
        for writer in list(self._open):
            writer.transport.abort()

    def cut_after(self, received_bytes: int | None) -> None:
        """Ends each connection once so much has come from the server."""
        self._cut_after = received_bytes

    def throttle(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self.refusing:
                return
            self.connections += 1
            server_reader, server_writer = await asyncio.open_connection(*self._target)
            self._open.add(server_writer)
            try:
                if self._tls is not None:
                    await self._answer_tls(reader, writer)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass(reader, server_writer, None))
                    both.create_task(self._pass(server_reader, writer, self._cut_after))
            finally:
                self._open.discard(server_writer)
                server_writer.transport.abort()
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _answer_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._tls is not None
        if await reader.readexactly(8) == _SSL_REQUEST:
            writer.write(b"S")
            await writer.start_tls(self._tls)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut_after: int | None
    ) -> None:
        passed = 0
        while piece := await reader.read(_PIECE):
            await self._flowing.wait()
            if cut_after is not None and passed + len(piece) > cut_after:
                raise ConnectionAbortedError
            writer.write(piece)
            await writer.drain()
            passed += len(piece)
            if self._bytes_per_s and cut_after is None:
                await asyncio.sleep(len(piece) / self._bytes_per_s)
        raise ConnectionAbortedError


@asynccontextmanager
async def tcp_proxy(host: str, port: int, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[TcpProxy]:
    proxy = TcpProxy((host, port), tls)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        with contextlib.suppress(OSError):
            await asyncio.gather(*tasks, return_exceptions=True)
