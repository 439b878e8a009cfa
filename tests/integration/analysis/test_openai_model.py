"""Model servers as they fail: what is tried again, what is told, and what never leaves."""

from __future__ import annotations

import asyncio
import socket
from contextlib import aclosing
from typing import Any

import pytest

from deepanalyze.analysis.conversation import Conversation, SamplingOptions, Turn
from deepanalyze.analysis.models.base import Chunk, TokenUsage
from deepanalyze.analysis.models.openai import OpenAIModel, protocol_of
from deepanalyze.errors import ModelUnavailable
from deepanalyze.settings import ModelConfig
from tests.support.canaries import canary, legitimate
from tests.support.desk import QUICK_RETRIES, model_config
from tests.support.model_server import ModelServer, Reply, sse

TALK = Conversation((Turn("user", "Why?"),))
KEY = f"sk-{canary('model key')}"


async def said(model: OpenAIModel, options: SamplingOptions | None = None) -> list[Chunk]:
    try:
        async with aclosing(model.stream(TALK, options or SamplingOptions())) as chunks:
            return [chunk async for chunk in chunks]
    finally:
        await model.aclose()


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def model(server: ModelServer, **more: Any) -> OpenAIModel:
    return OpenAIModel(model_config(server, **more), retries=QUICK_RETRIES)


async def refused(model: OpenAIModel) -> str:
    with pytest.raises(ModelUnavailable) as caught:
        await said(model)
    message = caught.value.message
    assert "DeepAnalyze-8B" in message
    assert "127.0.0.1:" in message
    assert KEY not in message
    return message


async def test_text_reason_and_usage(server: ModelServer) -> None:
    server.say(Reply("hello there", chunk=6, usage=(3, 4)))
    chunks = await said(model(server, api_key=KEY))
    assert [c.text for c in chunks if c.text] == ["hello ", "there"]
    assert next(c.finish_reason for c in chunks if c.finish_reason) == "stop"
    assert chunks[-1].usage == TokenUsage(3, 4)
    assert server.authorizations == [f"Bearer {KEY}"]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_passing_failures_are_tried_again(server: ModelServer, status: int) -> None:
    server.say(Reply(status=status), Reply(status=status), "yes")
    assert text(await said(model(server))) == "yes"
    assert len(server.requests) == 3


async def test_after_the_last_attempt_it_is_told(server: ModelServer) -> None:
    server.say(*[Reply(status=500, error="CUDA is on fire")] * 3)
    assert "HTTP 500): CUDA is on fire" in await refused(model(server))
    assert len(server.requests) == 3


async def test_a_busy_server_says_when_to_come_back(server: ModelServer) -> None:
    server.say(
        *[Reply(status=429, headers={"Retry-After": "0"})] * 2,
        Reply(status=429, headers={"Retry-After": "7"}),
    )
    with pytest.raises(ModelUnavailable) as caught:
        await said(model(server))
    assert caught.value.retry_after_s == 7


async def test_a_refused_request_is_not_repeated(server: ModelServer) -> None:
    server.say(Reply(status=400, error="the context is too long"))
    assert "the context is too long" in await refused(model(server))
    assert len(server.requests) == 1


async def test_a_key_is_in_no_message(server: ModelServer) -> None:
    header = canary("model header")
    with legitimate("a server may say what it was sent"):
        server.say(Reply(status=401, error=f"Incorrect API key provided: {KEY}"))
        assert "api_key" in await refused(model(server, api_key=KEY))
        server.say(Reply(status=400, error=f"bad request by {KEY} of {header}"))
        message = await refused(model(server, api_key=KEY, headers={"X-Team": header}))
        server.say(Reply(raw=sse({"error": {"message": f"no {header} here"}})), *[Reply(status=500)] * 2)
        await refused(model(server, headers={"X-Team": header}))
    assert "bad request by ******** of ********" in message


async def test_nothing_is_repeated_once_text_has_come(server: ModelServer) -> None:
    server.say(Reply("half an answer", cut_after=1), "never asked")
    assert "middle of its answer" in await refused(model(server))
    assert len(server.requests) == 1


async def test_a_connection_that_breaks_before_any_text_is_tried_again(server: ModelServer) -> None:
    server.say(Reply("x", cut_after=0), "yes")
    assert text(await said(model(server))) == "yes"


async def test_garbage_is_told_as_such(server: ModelServer) -> None:
    server.say(*[Reply("x", garbage=True)] * 3)
    assert "not in OpenAI's format" in await refused(model(server))


async def test_a_silent_server_is_given_up(server: ModelServer) -> None:
    server.say(Reply("half of it", hang_after=1))
    assert "sent nothing for 0.2 s" in await refused(model(server, timeout_s=0.2))
    await server.left.wait()


async def test_an_unreachable_server_is_told(server: ModelServer) -> None:
    with socket.socket() as bound:  # a port that nobody listens on
        bound.bind(("127.0.0.1", 0))
        config = model_config(server).model_copy(
            update={"base_url": f"http://127.0.0.1:{bound.getsockname()[1]}/v1"}
        )
        assert "cannot be reached" in await refused(OpenAIModel(config, retries=QUICK_RETRIES))


async def test_servers_that_refuse_to_tell_the_usage_are_asked_without(server: ModelServer) -> None:
    server.refuses_stream_options = True
    server.say("one", "two")
    asked = model(server)
    async with aclosing(asked.stream(TALK, SamplingOptions())) as chunks:
        assert text([c async for c in chunks]) == "one"
    assert text(await said(asked)) == "two"
    assert all("stream_options" not in request for request in server.requests)


async def test_closing_the_stream_ends_the_request(server: ModelServer) -> None:
    server.say(Reply("endless", hang_after=1))
    asked = model(server)
    async with aclosing(asked.stream(TALK, SamplingOptions())) as chunks:
        await anext(chunks)
    async with asyncio.timeout(5):
        await server.left.wait()
    await asked.aclose()


async def test_what_the_client_and_the_configuration_ask_for(server: ModelServer) -> None:
    server.say("x", "x")
    config = {"temperature": 0.9, "extra_body": {"top_k": 5, "min_p": 0.1}}
    await said(model(server, **config), SamplingOptions(stop=("END",), extra={"top_k": 9}))
    await said(model(server, **config), SamplingOptions(temperature=0.0))
    first, second = server.requests
    assert (first["temperature"], second["temperature"]) == (0.9, 0.0)
    assert (first["top_k"], first["min_p"]) == (9, 0.1)
    assert first["stop"] == ["</Code>", "END"]


@pytest.mark.parametrize(
    ("id", "set_to", "expected"),
    [
        ("DeepAnalyze-8B", None, "deepanalyze"),
        ("ruc/deep_analyze-8b-awq", None, "deepanalyze"),
        ("qwen3", None, "chat"),
        ("my-finetune", "deepanalyze", "deepanalyze"),
    ],
)
def test_the_protocol_is_told_from_the_id_unless_it_is_set(id: str, set_to: Any, expected: str) -> None:
    assert protocol_of(ModelConfig(id=id, base_url="http://model/v1", protocol=set_to)) == expected  # type: ignore[arg-type]
