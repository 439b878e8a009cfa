"""A scripted OpenAI-compatible model server: real HTTP, real SSE, on a free loopback port.

It does what vLLM does with `stop`, `stream_options` and a client that goes away; tests say what it answers and look at
what it was asked.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.canary_net import look


@dataclass
class Reply:
    """What one request is answered with.

    Args:
        chunk: characters in each piece of the stream.
        honours_stop: cuts the text at the first of the request's stop strings, as servers do.
        hang_after: stops sending after that many pieces, until the client goes away.
        cut_after: breaks the connection after that many pieces.
        status: answers with this error instead; `error` is its message, `headers` go with it.
        hold: nothing is sent before this event is set.
        raw: sent as it is, instead of the events made of `text`; with `status`, the body of the error.
        packet: bytes in each packet of what is sent; without it one event, or all of `raw`, is a packet.
        endless: sent over and over at the end, until the client goes away.
    """

    text: str = ""
    chunk: int = 8
    finish_reason: str | None = "stop"
    usage: tuple[int, int] | None = (100, 10)
    honours_stop: bool = True
    hang_after: int | None = None
    cut_after: int | None = None
    status: int | None = None
    error: str = "scripted failure"
    headers: dict[str, str] = field(default_factory=dict)
    hold: asyncio.Event | None = None
    garbage: bool = False
    raw: bytes | None = None
    packet: int | None = None
    endless: bytes | None = None
    content_type: str = "text/event-stream"

    def packets(self, data: bytes) -> Iterator[bytes]:
        size = self.packet or max(1, len(data))
        return (data[start : start + size] for start in range(0, len(data), size))

    def pieces(self, stops: Sequence[str]) -> Iterator[str]:
        ends = [self.text.find(stop) for stop in stops if stop in self.text] if self.honours_stop else []
        text = self.text[: min(ends)] if ends else self.text
        for start in range(0, len(text), self.chunk):
            yield text[start : start + self.chunk]


Scripted = Reply | str | Callable[[dict[str, Any]], Reply | str]


class ModelServer:
    """`requests` has the body of every chat request, in the order in which they came."""

    def __init__(self) -> None:
        self.base_url = ""
        self.requests: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.headers: list[Mapping[str, str]] = []  # of every request, listings too
        self.peers: list[Any] = []  # the address and port of every chat request's connection
        self.models = ["DeepAnalyze-8B"]
        self.max_model_len: int | None = None
        self.listing: Callable[[], Awaitable[web.Response]] | None = (
            None  # answers instead of the usual listing
        )
        self.listings = 0
        self.refuses_stream_options = False
        self.asked = asyncio.Event()
        self.left = asyncio.Event()  # a client went away in the middle of an answer
        self._script: list[Scripted] = []

    @property
    def host(self) -> str:
        return self.base_url.split("/")[2]

    def say(self, *replies: Scripted) -> None:
        self._script += replies

    def forget(self) -> None:
        """For the next test of a server that several share."""
        self._script.clear()
        self.requests.clear()
        self.asked.clear()
        self.left.clear()

    def messages(self, request: int = -1) -> list[dict[str, Any]]:
        return list(self.requests[request]["messages"])

    async def list_models(self, request: web.Request) -> web.Response:
        self.listings += 1
        self.headers.append(request.headers)
        if self.listing is not None:
            return await self.listing()
        context = {} if self.max_model_len is None else {"max_model_len": self.max_model_len}
        models = [
            {"id": m, "object": "model", "created": 1, "owned_by": "vllm", **context} for m in self.models
        ]
        return web.json_response({"object": "list", "data": models})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if self.refuses_stream_options and "stream_options" in body:
            return _error(400, "stream_options: extra fields not permitted")
        look("the prompt", json.dumps(body))
        self.requests.append(body)
        self.authorizations.append(request.headers.get("Authorization"))
        self.headers.append(request.headers)
        self.peers.append(request.transport and request.transport.get_extra_info("peername"))
        self.asked.set()
        if not self._script:
            return _error(400, "the test scripted no further reply")
        scripted = self._script.pop(0)
        reply = scripted(body) if callable(scripted) else scripted
        if isinstance(reply, str):
            reply = Reply(reply)
        try:
            return await self._answer(request, body, reply)
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise

    async def _answer(self, request: web.Request, body: dict[str, Any], reply: Reply) -> web.StreamResponse:
        if reply.hold is not None:
            await reply.hold.wait()
        if reply.status is not None and reply.raw is None:
            return _error(reply.status, reply.error, reply.headers)
        headers = {**reply.headers, "Content-Type": reply.content_type}
        response = web.StreamResponse(status=reply.status or 200, headers=headers)
        await response.prepare(request)
        if reply.garbage:
            await response.write(b"data: {this is not json\n\n")
        if reply.raw is not None:
            await self._send(response, reply, reply.raw)
            if reply.cut_after is not None:
                assert request.transport is not None
                request.transport.abort()
            elif reply.hang_after is not None:
                await asyncio.Event().wait()
            return response
        sent = 0
        for sent, piece in enumerate(reply.pieces(body.get("stop") or ()), start=1):
            if sent - 1 in (reply.hang_after, reply.cut_after):
                sent -= 1
                break
            await self._send(response, reply, _event(body, {"content": piece}))
        if reply.hang_after is not None:
            await asyncio.Event().wait()
        if reply.cut_after is not None:
            assert request.transport is not None
            request.transport.abort()
            return response
        await self._end(response, body, reply)
        return response

    async def _send(self, response: web.StreamResponse, reply: Reply, data: bytes) -> None:
        for packet in reply.packets(data):
            await response.write(packet)
            await asyncio.sleep(0)
        while reply.endless is not None:
            await response.write(reply.endless)
            await asyncio.sleep(0)

    async def _end(self, response: web.StreamResponse, body: dict[str, Any], reply: Reply) -> None:
        if reply.finish_reason is not None:
            await response.write(_event(body, {}, reply.finish_reason))
        if reply.usage and body.get("stream_options", {}).get("include_usage"):
            prompt, completion = reply.usage
            await response.write(
                _event(
                    body,
                    None,
                    usage={
                        "prompt_tokens": prompt,
                        "completion_tokens": completion,
                        "total_tokens": prompt + completion,
                    },
                )
            )
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()


@asynccontextmanager
async def model_server(*replies: Scripted) -> AsyncIterator[ModelServer]:
    server = ModelServer()
    server.say(*replies)
    application = web.Application()
    application.router.add_get("/v1/models", server.list_models)
    application.router.add_post("/v1/chat/completions", server.chat)
    runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()


def delta(
    content: Any = None,
    finish_reason: str | None = None,
    *,
    usage: tuple[int, int] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One chunk of an answer; `more` goes into its delta."""
    told = {} if content is None else {"content": content}
    chunk: dict[str, Any] = {
        "choices": [{"index": 0, "delta": {**told, **more}, "finish_reason": finish_reason}]
    }
    if usage is not None:
        chunk["usage"] = dict(zip(("prompt_tokens", "completion_tokens"), usage, strict=True))
    return chunk


def sse(*events: Any, end: str = "\n\n", prefix: str = "data: ") -> bytes:
    """Texts stand for themselves; everything else is sent as JSON, its characters as they are."""
    texts = (e if isinstance(e, str) else json.dumps(e, ensure_ascii=False) for e in events)
    return "".join(f"{prefix}{text}{end}" for text in texts).encode()


DONE = "[DONE]"


def _event(
    body: dict[str, Any],
    delta: dict[str, Any] | None,
    finish_reason: str | None = None,
    usage: dict[str, int] | None = None,
) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    chunk = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": body["model"],
        "choices": choices,
        "usage": usage,
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    error = {"message": message, "type": "error", "param": None, "code": status}
    return web.json_response({"error": error}, status=status, headers=headers)
