"""Streams end what feeds them, stay alive, and answer early failures properly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Message

from deepanalyze.analysis.events import Event, Failed, Numbered, Status, Text
from deepanalyze.api import streaming
from deepanalyze.api.streaming import Ahead, ClientGone, EventStream, until_disconnect
from deepanalyze.errors import ModelNotFound, ModelUnavailable


class Client:
    """An ASGI server's side: collects what is sent, and leaves when told to."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.gone = asyncio.Event()
        self.first_body = asyncio.Event()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if message.get("body"):
            self.first_body.set()

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent).decode()


class Source:
    """Events that tell when they were closed."""

    def __init__(self, *events: Event, then_wait: bool = False, error: Exception | None = None) -> None:
        self._events = events
        self._then_wait = then_wait
        self._error = error
        self.closed = asyncio.Event()

    async def __call__(self) -> AsyncIterator[Numbered]:
        try:
            for n, event in enumerate(self._events, 1):
                yield Numbered(n, "chatcmpl-1", event)
            if self._error:
                raise self._error
            if self._then_wait:
                await asyncio.Event().wait()
        finally:
            self.closed.set()


def stream(source: Source, **more: Any) -> EventStream:
    return EventStream(source(), lambda item: f"data: {item.event}\n\n".encode(), request_id="req-1", **more)


async def test_a_stream_ends_with_done() -> None:
    client = Client()
    await stream(Source(Text("a"), Text("b")), first=b"data: first\n\n")({}, client.receive, client.send)
    assert client.sent[0]["status"] == 200
    assert (b"content-type", b"text/event-stream; charset=utf-8") in client.sent[0]["headers"]
    assert client.text.startswith("data: first\n\ndata: Text(text='a')")
    assert client.text.endswith("data: [DONE]\n\n")
    assert client.sent[-1]["more_body"] is False


async def test_a_client_that_leaves_ends_the_analysis() -> None:
    client, source = Client(), Source(Text("a"), then_wait=True)
    running = asyncio.create_task(stream(source)({}, client.receive, client.send))
    await client.first_body.wait()
    client.gone.set()
    await running
    assert source.closed.is_set()


async def test_an_immediate_failure_is_raised_before_the_status_is_sent() -> None:
    client, source = Client(), Source(Status("asking"), Failed(ModelNotFound("no such model")))
    with pytest.raises(ModelNotFound):
        await stream(source, hold=True)({}, client.receive, client.send)
    assert client.sent == []
    assert source.closed.is_set()


async def test_a_later_failure_ends_the_stream_without_done() -> None:
    client = Client()
    await stream(Source(Text("a"), Failed(ModelUnavailable("gone"))), hold=True)(
        {}, client.receive, client.send
    )
    assert client.sent[0]["status"] == 200
    assert "[DONE]" not in client.text


async def test_text_is_not_held_back() -> None:
    client, source = Client(), Source(Status("asking"), Text("a"), then_wait=True)
    running = asyncio.create_task(stream(source, hold=True)({}, client.receive, client.send))
    await client.first_body.wait()
    assert "Status" in client.text
    client.gone.set()
    await running


@pytest.mark.parametrize("error", [ZeroDivisionError("secret"), ModelUnavailable("gone")])
async def test_whatever_breaks_is_told_in_the_stream(error: Exception) -> None:
    client = Client()
    await stream(Source(Text("a"), error=error))({}, client.receive, client.send)
    assert '"error"' in client.text
    assert "secret" not in client.text
    assert "[DONE]" not in client.text


async def test_an_idle_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "KEEP_ALIVE_S", 0.01)
    client = Client()
    running = asyncio.create_task(stream(Source(then_wait=True))({}, client.receive, client.send))
    await client.first_body.wait()
    assert client.text.startswith(": keep-alive\n")
    client.gone.set()
    await running


async def test_work_is_cancelled_when_nobody_waits_for_it() -> None:
    client = Client()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            client.gone.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(ClientGone):
        await until_disconnect(client.receive, work())
    assert ended.is_set()


async def test_work_that_ends_first_gives_its_result() -> None:
    client = Client()

    async def work() -> int:
        return 42

    assert await until_disconnect(client.receive, work()) == 42


async def test_waiting_for_an_item_may_time_out_without_losing_it() -> None:
    go = asyncio.Event()

    async def items() -> AsyncIterator[int]:
        await go.wait()
        yield 1

    async with Ahead(items()) as ahead:
        with pytest.raises(TimeoutError):
            await ahead.next(0.001)
        go.set()
        assert await ahead.next(60) == 1
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await ahead.next(60)
