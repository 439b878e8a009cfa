"""An ASGI application asked without a socket, whose answers come in pieces as a server's do.

httpx's own transport for this collects an answer before it hands it over, and a query's result may be large.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import anyio
import httpx
from starlette.types import ASGIApp, Message

_BROKEN_OFF = "it ended before its answer was complete"


class InProcess(httpx.AsyncBaseTransport):
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = _Answer(self._app, _scope(request), await request.aread())
        try:
            status, headers = await answer.head()
        except BaseException:
            await answer.aclose()
            raise
        return httpx.Response(status, headers=headers, stream=answer)


class _Answer(httpx.AsyncByteStream):
    """The application runs in a task of its own, never a piece ahead of the reader; one that is not done with its
    answer when this is closed is cancelled.
    """

    def __init__(self, app: ASGIApp, scope: dict[str, Any], body: bytes) -> None:
        self._body: bytes | None = body
        self._complete = asyncio.Event()
        self._sent, self._messages = anyio.create_memory_object_stream[MutableMapping[str, Any]](0)
        self._running = asyncio.create_task(self._run(app, scope))

    async def head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        try:
            message = await self._messages.receive()
        except anyio.EndOfStream:
            raise httpx.RemoteProtocolError(_BROKEN_OFF) from None
        return message["status"], list(message["headers"])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for message in self._messages:
            if body := message.get("body"):
                yield body
            if not message.get("more_body", False):
                self._complete.set()
                await self._ended()
                return
        raise httpx.RemoteProtocolError(_BROKEN_OFF)

    async def aclose(self) -> None:
        self._messages.close()
        self._running.cancel()
        await self._ended()
        self._sent.close()  # what was cancelled before it began has not

    async def _ended(self) -> None:
        # The application logs its failures itself
        await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        async with self._sent:
            await app(scope, self._receive, self._sent.send)

    async def _receive(self) -> Message:
        body, self._body = self._body, None
        if body is None:
            await self._complete.wait()
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}


def _scope(request: httpx.Request) -> dict[str, Any]:
    path, _, query = request.url.raw_path.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (request.url.host, request.url.port),
        "client": None,
    }
