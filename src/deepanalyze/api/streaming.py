"""Streams that notice when the client goes away, stay alive when nothing happens, and end what feeds them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Generic, Self, TypeVar

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from deepanalyze.analysis.events import Failed, Fetch, Numbered, Status
from deepanalyze.api.errors import error_object
from deepanalyze.api.rendering import DONE, KEEP_ALIVE, sse
from deepanalyze.errors import Cancelled, DeepAnalyzeError, InternalError

T = TypeVar("T")

HOLD_S = 1.0
KEEP_ALIVE_S = 15.0

log = structlog.get_logger()


class ClientGone(Exception):
    """There is nobody left to answer."""


async def until_disconnect(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client goes away; raises ClientGone then."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of what can take long, for a client that waits for it: when it leaves, `work` is cancelled."""
    try:
        return await until_disconnect(request.receive, work)
    except ClientGone:
        raise Cancelled("the client went away before the answer was complete") from None


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Ahead(Generic[T]):
    """Reads an iterator in a task of its own, so that waiting for its next item can time out without ending it."""

    def __init__(self, items: AsyncIterator[T], *, size: int = 256) -> None:
        self._items = items
        self._queue: asyncio.Queue[T | _End] = asyncio.Queue(size)
        self._end: _End | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def next(self, timeout_s: float) -> T:
        """Raises TimeoutError, StopAsyncIteration at the end, or what the iterator raised."""
        if self._end is None:
            async with asyncio.timeout(timeout_s):
                item = await self._queue.get()
            if not isinstance(item, _End):
                return item
            self._end = item
        raise self._end.error or StopAsyncIteration

    async def _read(self) -> None:
        error: Exception | None = None
        try:
            async for item in self._items:
                await self._queue.put(item)
        except Exception as caught:  # noqa: BLE001 - handed to the reader, who raises it
            error = caught
        finally:
            close = getattr(self._items, "aclose", None)
            if close is not None:
                await close()
        await self._queue.put(_End(error))


class _End:
    def __init__(self, error: Exception | None) -> None:
        self.error = error


class EventStream(Response):
    """Server-sent events, ended by `[DONE]`, or by an error when that was the last that happened.

    Args:
        hold: keeps the status line back until there is text, but no longer than HOLD_S: an analysis that fails at
            once (no such model, a source that refuses) is then answered with the proper HTTP status.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[Numbered],
        render: Callable[[Numbered], bytes],
        *,
        request_id: str,
        first: bytes = b"",
        hold: bool = False,
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._render = render
        self._request_id = request_id
        self._first = first
        self._hold = hold
        self._failed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await until_disconnect(receive, self._stream(send))
        except ClientGone:
            log.info("client left its stream")

    async def _stream(self, send: Send) -> None:
        async with Ahead(self._events) as ahead:
            held = await _until_it_speaks(ahead) if self._hold else []
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _write(send, self._first + b"".join(self._render(item) for item in held))
            async for data in self._rest(ahead):
                await _write(send, data)
            end = b"" if self._failed else DONE
            await send({"type": "http.response.body", "body": end, "more_body": False})

    async def _rest(self, ahead: Ahead[Numbered]) -> AsyncIterator[bytes]:
        while True:
            try:
                item = await ahead.next(KEEP_ALIVE_S)
            except TimeoutError:
                yield KEEP_ALIVE
                continue
            except StopAsyncIteration:
                return
            except DeepAnalyzeError as error:
                yield self._broken(error)
                return
            except Exception:
                log.exception("stream failed")
                yield self._broken(
                    InternalError("something went wrong in DeepAnalyze; its log has the details")
                )
                return
            self._failed = isinstance(item.event, Failed)
            yield self._render(item)

    def _broken(self, error: DeepAnalyzeError) -> bytes:
        self._failed = True
        return sse({"error": error_object(error, self._request_id)})


async def _until_it_speaks(ahead: Ahead[Numbered]) -> list[Numbered]:
    held: list[Numbered] = []
    deadline = asyncio.get_running_loop().time() + HOLD_S
    while True:
        try:
            item = await ahead.next(deadline - asyncio.get_running_loop().time())
        except (TimeoutError, StopAsyncIteration):
            return held
        if isinstance(item.event, Failed):
            raise item.event.error
        held.append(item)
        if not isinstance(item.event, Fetch | Status):
            return held


async def _write(send: Send, data: bytes) -> None:
    if data:
        await send({"type": "http.response.body", "body": data, "more_body": True})
