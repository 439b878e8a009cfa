"""Asking an application without a socket: answers in pieces, and an end for whatever is not wanted any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from deepanalyze.cli.client.in_process import InProcess


@asynccontextmanager
async def asking(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=InProcess(app), base_url="http://here") as client:
        yield client


async def start(send: Send, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-kind", b"test")]})


async def piece(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def test_the_application_sees_the_request_and_its_answer_is_handed_on() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.update(scope, body=(await receive())["body"])
        await start(send, 404)
        await piece(send, b"all", more=False)
        seen["after"] = (await receive())["type"]

    async with asking(app) as client:
        answer = await client.post("/a%2Fb c?d=e%26f", content=b"asked", headers={"X-One": "1"})
    assert (answer.status_code, answer.content, answer.headers["x-kind"]) == (404, b"all", "test")
    assert (seen["method"], seen["path"], seen["query_string"]) == ("POST", "/a/b c", b"d=e%26f")
    assert (b"x-one", b"1") in seen["headers"]
    assert (seen["body"], seen["after"]) == (b"asked", "http.disconnect")


async def test_the_application_is_never_ahead_of_the_reader() -> None:
    handed_on = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal handed_on
        await start(send)
        for _ in range(100):
            await piece(send, b"piece")
            handed_on += 1
        await piece(send, b"", more=False)

    async with asking(app) as client, client.stream("GET", "/") as answer:
        read = 0
        async for _ in answer.aiter_raw():
            read += 1
            for _ in range(10):  # turns of the event loop, which the application might use to go on
                await asyncio.sleep(0)
            assert handed_on <= read
    assert read == handed_on == 100


async def test_a_reader_that_leaves_ends_the_application() -> None:
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await start(send)
            while True:
                await piece(send, b"piece")
        finally:
            ended.set()

    async with asking(app) as client, client.stream("GET", "/") as answer:
        assert await anext(answer.aiter_raw()) == b"piece"
        assert not ended.is_set()
    assert ended.is_set()


async def test_asking_that_is_stopped_ends_the_application() -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asking(app) as client:
        waiting = asyncio.create_task(client.get("/"))
        await asked.wait()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert ended.is_set()


async def test_an_answer_that_breaks_off_is_told_as_such() -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("before the answer")

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await piece(send, b"half")
        raise RuntimeError("amid the answer")

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send, 500)
        await piece(send, b"whole", more=False)
        raise RuntimeError("after the answer")

    for app in (silent, broken):
        async with asking(app) as client:
            with pytest.raises(httpx.RemoteProtocolError, match="complete"):
                await client.get("/")
    async with asking(late) as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.content) == (500, b"whole")
