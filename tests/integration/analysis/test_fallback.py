"""Models that stand in for others: when they do, and how that is told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from deepanalyze.analysis.conversation import Conversation, SamplingOptions, Turn
from deepanalyze.analysis.events import Status, Text
from deepanalyze.analysis.models.base import Chunk, ModelClient, Prices, Replaced
from deepanalyze.analysis.models.catalog import Catalog
from deepanalyze.errors import ModelUnavailable, NotSupported
from deepanalyze.sandbox import Sandbox
from deepanalyze.settings import ModelConfig
from tests.support.desk import QUICK_RETRIES, Desk, model_config, open_desk
from tests.support.model_server import ModelServer, Reply, model_server

TALK = Conversation((Turn("user", "Why?"),))
IMAGE = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
ANSWER = "<Answer>Because.</Answer>"
DOWN = [Reply(status=500)] * QUICK_RETRIES.max_attempts


@pytest.fixture
async def second() -> AsyncIterator[ModelServer]:
    async with model_server() as started:
        yield started


@pytest.fixture
def nowhere() -> ModelConfig:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    return ModelConfig(id="first", base_url=f"http://127.0.0.1:{port}/v1", fallback=("second",))


def chained(server: ModelServer, second: ModelServer, **more: object) -> list[ModelConfig]:
    return [
        model_config(server, "first", fallback=("second",), input_price=1, **more),
        model_config(second, "second", input_price=2, output_price=3, protocol="chat"),
    ]


async def answered(model: ModelClient, talk: Conversation = TALK) -> list[Chunk]:
    async with aclosing(model.stream(talk, SamplingOptions())) as chunks:  # type: ignore[type-var]
        return [chunk async for chunk in chunks]


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def replaced(chunks: list[Chunk]) -> list[Replaced]:
    return [chunk.replaced for chunk in chunks if chunk.replaced]


async def test_the_next_one_is_asked_when_a_server_cannot_be_reached(
    nowhere: ModelConfig, second: ModelServer
) -> None:
    second.say("yes")
    configs = [nowhere, model_config(second, "second", output_price=3)]
    async with Catalog(configs, retries=QUICK_RETRIES) as catalog:
        model = await catalog.get("first")
        assert (model.id, model.prices) == ("first", None)
        chunks = await answered(model)
    assert text(chunks) == "yes"
    (told,) = replaced(chunks)
    assert (told.failed, told.model) == ("first", "second")
    assert "'first' at 127.0.0.1" in told.because
    assert "cannot be reached" in told.because
    assert (model.id, model.prices) == ("second", Prices(0, 3))


@pytest.mark.parametrize(
    "reply",
    [Reply(status=401), Reply(status=400, error="the context is too long"), Reply(hold=asyncio.Event())],
    ids=["wrong key", "refused", "hangs"],
)
async def test_the_next_one_is_asked_whatever_fails_before_the_first_text(
    server: ModelServer, second: ModelServer, reply: Reply
) -> None:
    server.say(reply)
    second.say("yes")
    async with Catalog(chained(server, second, timeout_s=0.3), retries=QUICK_RETRIES) as catalog:
        assert text(await answered(await catalog.get("first"))) == "yes"
    assert len(server.requests) == 1


async def test_a_model_that_fails_in_the_middle_is_not_replaced(
    server: ModelServer, second: ModelServer
) -> None:
    server.say(Reply("half an answer", cut_after=1))
    async with Catalog(chained(server, second), retries=QUICK_RETRIES) as catalog:
        model = await catalog.get("first")
        with pytest.raises(ModelUnavailable, match="middle of its answer"):
            await answered(model)
    assert second.requests == []


async def test_the_one_that_answered_is_asked_first_the_next_time(
    server: ModelServer, second: ModelServer
) -> None:
    server.say(*DOWN, "first again")
    second.say("one", "two", *DOWN)
    async with Catalog(chained(server, second), retries=QUICK_RETRIES) as catalog:
        model = await catalog.get("first")
        assert text(await answered(model)) == "one"
        chunks = await answered(model)
        assert (text(chunks), replaced(chunks)) == ("two", [])
        chunks = await answered(model)  # now the second one is down
        assert (text(chunks), [r.model for r in replaced(chunks)]) == ("first again", ["first"])
        assert model.id == "first"
        server.say("a new analysis")
        assert text(await answered(await catalog.get("first"))) == "a new analysis"


async def test_fallbacks_have_fallbacks(server: ModelServer, second: ModelServer) -> None:
    configs = [
        model_config(server, "a", fallback=("b", "d")),
        model_config(server, "b", fallback=("c",)),
        model_config(server, "c"),
        model_config(second, "d"),
    ]
    server.say(*[Reply(status=400, error=f"{n} failed") for n in "abc"])
    second.say("yes")
    async with Catalog(configs) as catalog:
        chunks = await answered(await catalog.get("a"))
    assert [(r.failed, r.model) for r in replaced(chunks)] == [("a", "b"), ("b", "c"), ("c", "d")]
    assert [request["model"] for request in server.requests] == ["a", "b", "c"]


async def test_when_all_fail_each_is_told(server: ModelServer, second: ModelServer) -> None:
    server.say(Reply(status=429, headers={"Retry-After": "100"}))
    second.say(Reply(status=429, headers={"Retry-After": "50"}))
    async with Catalog(chained(server, second)) as catalog:
        model = await catalog.get("first")
        with pytest.raises(ModelUnavailable) as caught:
            await answered(model)
    assert [detail["model"] for detail in caught.value.details] == ["first", "second"]
    assert "'first'" in caught.value.message
    assert "'second'" in caught.value.message
    assert caught.value.retry_after_s == 50


async def test_every_model_of_a_listing_has_the_fallback_of_its_table(
    server: ModelServer, second: ModelServer
) -> None:
    server.models = ["x", "y"]
    server.say(Reply(status=400))
    second.say("yes")
    configs = [model_config(server, "", fallback=("second",)), model_config(second, "second")]
    async with Catalog(configs) as catalog:
        chunks = await answered(await catalog.get("y"))
    assert (text(chunks), [r.failed for r in replaced(chunks)]) == ("yes", ["y"])


async def test_a_fallback_that_takes_no_images_is_passed_over(
    server: ModelServer, second: ModelServer
) -> None:
    talk = Conversation((Turn("user", IMAGE),))
    configs = [
        model_config(server, "first", images=True, fallback=("blind", "second")),
        model_config(second, "blind", images=False),
        model_config(second, "second", images=True, protocol="chat"),
    ]
    server.say(Reply(status=400))
    second.say("a cat")
    async with Catalog(configs) as catalog:
        assert text(await answered(await catalog.get("first"), talk)) == "a cat"
    assert [request["model"] for request in second.requests] == ["second"]
    assert second.messages()[-1]["content"][1] == IMAGE[1]


async def test_closing_the_stream_ends_the_fallbacks_request(
    server: ModelServer, second: ModelServer
) -> None:
    server.say(Reply(status=400))
    second.say(Reply("endless", hang_after=1))
    async with Catalog(chained(server, second)) as catalog:
        stream = (await catalog.get("first")).stream(TALK, SamplingOptions())
        async with aclosing(stream) as chunks:  # type: ignore[type-var]
            while not (await anext(chunks)).text:
                pass
        async with asyncio.timeout(5):
            await second.left.wait()


async def test_an_analysis_tells_who_answered(
    tmp_path: Path, server: ModelServer, second: ModelServer, sandbox: Sandbox
) -> None:
    server.say(*DOWN)
    second.say("<Code>\nprint(6 * 7)\n</Code>", ANSWER)
    async with open_desk(tmp_path, server, sandbox, models=chained(server, second)) as desk:
        answer = await desk.ask(model="first")
    assert answer.text.startswith("*Model 'first' could not answer; this is from 'second'.*\n\n<Code>")
    assert answer.text.count("could not answer") == 1
    assert "42" in second.messages()[-1]["content"]
    assert answer.finished.usage.total_tokens == 220
    asked = [(s.message.split(";")[-1].strip(), s.detail["model"]) for s in answer.of(Status)]
    assert asked == [
        ("asking the model", "first"),
        ("asking 'second' instead", "second"),
        ("asking the model", "second"),
    ]
    switched = next(s for s in answer.of(Status) if "instead_of" in s.detail)
    assert switched.detail["instead_of"] == "first"
    assert len(server.requests) == QUICK_RETRIES.max_attempts


async def test_images_are_refused_before_anything_is_asked_or_fetched(
    desk: Desk, server: ModelServer
) -> None:
    answer = await desk.ask([Turn("user", IMAGE)])
    assert isinstance(answer.error, NotSupported)
    assert "model 'DeepAnalyze-8B' takes no images" in answer.error.message
    assert answer.error.param == "messages"
    assert server.requests == []
    assert answer.of(Text) == []


async def test_images_are_passed_on_to_a_model_that_takes_them(desk: Desk, server: ModelServer) -> None:
    server.say(ANSWER)
    answer = await desk.ask([Turn("user", IMAGE)], model="some-chat-model")
    assert answer.finished.finish_reason == "stop"
    assert IMAGE[1] in server.messages()[-1]["content"]


async def test_a_reply_that_is_there_is_not_lost_with_its_end(desk: Desk, server: ModelServer) -> None:
    """The connection breaks where the usage should have come."""
    server.say(Reply(f"{ANSWER}xxxxxxxx", chunk=len(ANSWER), cut_after=1))
    answer = await desk.ask()
    assert (answer.text, answer.finished.finish_reason) == (ANSWER, "stop")
