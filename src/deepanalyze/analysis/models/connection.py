"""The connections to a model server, and the answer that streams over one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

import httpx
import openai
from openai import AsyncOpenAI

from deepanalyze.analysis.models.base import Chunk
from deepanalyze.analysis.models.chunks import ChunkReader
from deepanalyze.analysis.models.failures import CutOff, NoStream
from deepanalyze.analysis.models.sse import EventDecoder, EventTooLong
from deepanalyze.settings import ModelConfig

CONNECT_TIMEOUT_S = 10

_MAX_CONNECTIONS = 1000
_KEPT_ALIVE = 100
_NO_KEY = "none"  # the client insists on one
_DONE = "[DONE]"
_DRAIN_S = 0.5


async def open_client(config: ModelConfig) -> AsyncOpenAI:
    """In a thread: reading the certificates takes longer than the event loop may be held."""
    return await asyncio.to_thread(_client, config)


def _client(config: ModelConfig) -> AsyncOpenAI:
    """Retries are ours, so that none happens once text has been shown. Redirects are not followed: they would take the
    headers, which are secrets, to another host.
    """
    key = config.api_key.get_secret_value() if config.api_key else ""
    timeout = httpx.Timeout(config.timeout_s, connect=CONNECT_TIMEOUT_S)
    http = httpx.AsyncClient(
        timeout=timeout,
        limits=httpx.Limits(max_connections=_MAX_CONNECTIONS, max_keepalive_connections=_KEPT_ALIVE),
        follow_redirects=False,
    )
    client = AsyncOpenAI(
        base_url=str(config.base_url),
        api_key=key or _NO_KEY,
        timeout=cast("Any", timeout),
        max_retries=0,
        http_client=cast("Any", http),
        default_headers={name: value.get_secret_value() for name, value in config.headers.items()},
    )
    _ = client.chat.completions  # imports a good part of the package when first asked for
    return client


async def stream_answer(
    client: AsyncOpenAI, request: dict[str, Any], *, timeout_s: float
) -> AsyncGenerator[Chunk, None]:
    """Asks, and yields the answer as it comes; closing it ends the request.

    The events are read here rather than by the client, which takes lines of any length and does not tell an answer
    that was cut off from one that ended.

    Raises openai.OpenAIError, httpx.HTTPError, TimeoutError when nothing comes for `timeout_s`, and those of
    `failures`, `chunks` and `sse`.
    """
    create = cast("Callable[..., Awaitable[openai.AsyncStream[Any]]]", client.chat.completions.create)
    async with await create(**request) as stream:
        response = cast("httpx.Response", stream.response)
        decoder, reader = EventDecoder(), ChunkReader()
        async with aclosing(_events(response, decoder)) as events:
            while (data := await _next(events, timeout_s)) is not None:
                if data.strip() == _DONE:
                    reader.ended = True
                    break
                yield reader.read(data)
            else:
                if not decoder.seen:
                    raise NoStream(response.headers.get("content-type", "no content type"))
                if not reader.ended:
                    raise CutOff
                return
            await _drain(events)


async def _events(response: httpx.Response, decoder: EventDecoder) -> AsyncGenerator[str, None]:
    async for piece in response.aiter_bytes():
        for data in decoder.feed(piece):
            yield data
    for data in decoder.finish():
        yield data


async def _next(events: AsyncIterator[str], timeout_s: float) -> str | None:
    async with asyncio.timeout(timeout_s):
        return await anext(events, None)


async def _drain(events: AsyncIterator[str]) -> None:
    """Reads the end of the body, so that the connection can be used again; its text does not count any more."""
    with contextlib.suppress(TimeoutError, httpx.HTTPError, EventTooLong):
        async with asyncio.timeout(_DRAIN_S):
            async for _ in events:
                pass
