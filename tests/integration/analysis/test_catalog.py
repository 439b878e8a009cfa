"""Which models there are, and which one a request gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from deepanalyze.analysis.conversation import Conversation, SamplingOptions, Turn
from deepanalyze.analysis.models.base import Chunk, ModelInfo
from deepanalyze.analysis.models.catalog import Catalog
from deepanalyze.analysis.models.openai import OpenAIModel
from deepanalyze.errors import ModelNotFound
from deepanalyze.settings import ModelConfig
from tests.support.desk import Clock, model_config
from tests.support.model_server import ModelServer, model_server


class BuiltIn:
    id = "built-in"
    prices = None
    takes_images = False

    async def stream(self, conversation: Conversation, options: SamplingOptions) -> AsyncIterator[Chunk]:
        yield Chunk("hello")


NOWHERE = ModelConfig(id="far-away", base_url="http://127.0.0.1:9/v1")


async def ids(catalog: Catalog) -> list[str]:
    return [model.id for model in await catalog.list()]


async def by_id(catalog: Catalog) -> dict[str, ModelInfo]:
    return {model.id: model for model in await catalog.list()}


@pytest.fixture
async def silent() -> AsyncIterator[ModelServer]:
    """It takes every connection and never answers what it lists."""

    async def never() -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with model_server() as started:
        started.listing = never
        yield started


async def test_configured_listed_and_built_in_models_are_offered(server: ModelServer) -> None:
    server.models = ["qwen3", "DeepAnalyze-8B"]
    async with Catalog([model_config(server), NOWHERE], BuiltIn()) as catalog:
        assert await ids(catalog) == ["built-in", "DeepAnalyze-8B", "far-away", "qwen3"]


async def test_what_is_known_of_each_is_told(server: ModelServer) -> None:
    server.models = ["DeepAnalyze-8B", "qwen3"]
    server.max_model_len = 4096
    other = model_config(server, "mine", images=False, context_tokens=100, protocol="chat")
    async with Catalog([model_config(server), other, NOWHERE], BuiltIn()) as catalog:
        known = await by_id(catalog)
    assert known == {
        "built-in": ModelInfo("built-in", "deepanalyze", reachable=True, listed=True),
        "DeepAnalyze-8B": ModelInfo(
            "DeepAnalyze-8B", "vllm", 1, 4096, "deepanalyze", images=False, reachable=True, listed=True
        ),
        "mine": ModelInfo("mine", "deepanalyze", 0, 100, "chat", images=False, reachable=True, listed=False),
        "far-away": ModelInfo(
            "far-away", "deepanalyze", 0, None, "chat", images=True, reachable=False, listed=None
        ),
        "qwen3": ModelInfo("qwen3", "vllm", 1, 4096, "chat", images=True, reachable=True, listed=True),
    }


async def test_the_first_of_the_configuration_has_a_name_that_several_offer(server: ModelServer) -> None:
    async with model_server() as second:
        server.models, second.models = ["both", "configured"], ["both", "built-in"]
        second.max_model_len = 2
        configs = [
            model_config(server, ""),
            model_config(second, "configured", context_tokens=7),
            model_config(second, "configured", context_tokens=8),
        ]
        async with Catalog(configs, BuiltIn()) as catalog:
            known = await by_id(catalog)
            assert list(known) == ["built-in", "configured", "both"]
            assert (known["both"].context_tokens, known["configured"].context_tokens) == (None, 7)
            server.say("from the first")
            second.say("from the second")
            assert await answer(catalog, "both") == "from the first"
            assert await answer(catalog, "configured") == "from the second"
            assert isinstance(await catalog.get("built-in"), BuiltIn)


async def answer(catalog: Catalog, model_id: str) -> str:
    stream: Any = (await catalog.get(model_id)).stream(Conversation((Turn("user", "?"),)), SamplingOptions())
    return "".join([chunk.text async for chunk in stream])


async def test_a_server_without_a_configured_id_offers_what_it_lists(server: ModelServer) -> None:
    server.models = ["qwen3", "llama"]
    async with Catalog([model_config(server, id="", protocol="deepanalyze")]) as catalog:
        assert await ids(catalog) == ["qwen3", "llama"]
        model = await catalog.get("qwen3")
    assert isinstance(model, OpenAIModel)
    assert (model.id, model.protocol) == ("qwen3", "deepanalyze")


async def test_a_neighbour_of_a_configured_model_gets_nothing_of_its_settings(server: ModelServer) -> None:
    server.models = ["tuned", "qwen3"]
    tuned = model_config(
        server, "tuned", protocol="deepanalyze", context_tokens=9, input_price=5, fallback=(), images=True,
        temperature=0.9, extra_body={"top_k": 1}, headers={"X-Team": "red"},
    )  # fmt: skip
    async with Catalog([tuned]) as catalog:
        mine, other = [await catalog.get(id) for id in server.models]
        assert isinstance(mine, OpenAIModel)
        assert isinstance(other, OpenAIModel)
        assert (mine.protocol, mine.context_tokens, mine.prices is None) == ("deepanalyze", 9, False)
        assert (other.protocol, other.context_tokens, other.prices is None) == ("chat", None, True)
        server.say("hello")
        assert await answer(catalog, "qwen3") == "hello"
    assert not {"top_k", "temperature"} & server.requests[-1].keys()
    assert server.headers[-1]["X-Team"] == "red"
    assert server.authorizations[-1]


async def test_the_context_that_a_server_tells_counts_where_none_is_configured(server: ModelServer) -> None:
    server.max_model_len = 200
    server.say("short", "long")
    async with Catalog([model_config(server, "DeepAnalyze-8B")]) as catalog:
        model: Any = await catalog.get("DeepAnalyze-8B")
        long = Conversation((Turn("user", "?"), Turn("execute", "x" * 5000), Turn("execute", "y")))
        assert model.context_tokens is None
        _ = [chunk async for chunk in model.stream(long, SamplingOptions())]
        await catalog.list()
        assert model.context_tokens == 200
        _ = [chunk async for chunk in model.stream(long, SamplingOptions())]
    before, after = (len(str(request["messages"])) for request in server.requests)
    assert before > 5000 > after


async def test_listings_are_asked_for_once_a_minute(server: ModelServer) -> None:
    clock = Clock()
    async with Catalog([model_config(server)], clock=clock) as catalog:
        for _ in range(3):
            await catalog.list()
        assert server.listings == 1
        clock.now += 61
        server.models = ["newer"]
        assert "newer" in await ids(catalog)
    assert server.listings == 2


async def test_a_configured_model_needs_no_listing(server: ModelServer) -> None:
    async with Catalog([NOWHERE, model_config(server)], BuiltIn()) as catalog:
        assert (await catalog.get("far-away")).id == "far-away"
        assert (await catalog.get("built-in")).id == "built-in"
        assert await catalog.get("DeepAnalyze-8B") is await catalog.get("DeepAnalyze-8B")
    assert server.listings == 0


async def test_an_unknown_model_is_told_with_all_there_are(server: ModelServer) -> None:
    async with Catalog([model_config(server)], BuiltIn()) as catalog:
        with pytest.raises(ModelNotFound) as caught:
            await catalog.get("gpt-0")
    assert caught.value.message == "no model 'gpt-0' here; the models are: DeepAnalyze-8B, built-in"
    assert caught.value.param == "model"


async def test_an_unknown_model_may_be_one_of_a_server_that_is_away() -> None:
    async with Catalog([ModelConfig(base_url="http://127.0.0.1:9/v1")], BuiltIn()) as catalog:
        with pytest.raises(ModelNotFound, match=r"what 127\.0\.0\.1:9 offers is not known"):
            await catalog.get("qwen3")


async def test_a_silent_server_keeps_no_other_ones_models_waiting(
    server: ModelServer, silent: ModelServer
) -> None:
    """Its own listing is still awaited when theirs are there, and when they answer."""
    server.models = ["qwen3"]
    server.say("quick")
    async with Catalog([model_config(silent, ""), model_config(server, "")]) as catalog:
        assert await answer(catalog, "qwen3") == "quick"
        waiting = asyncio.create_task(catalog.check())
        assert await ids(catalog) == ["qwen3"]
        assert not waiting.done()
        assert any("127.0.0.1" in problem for problem in await waiting)


async def test_what_a_silent_server_listed_is_still_known(server: ModelServer, silent: ModelServer) -> None:
    clock = Clock()
    server.models = ["qwen3"]
    async with Catalog([model_config(server, "")], clock=clock) as catalog:
        assert await ids(catalog) == ["qwen3"]
        server.listing = silent.listing
        clock.now += 61
        assert await ids(catalog) == ["qwen3"]
        server.say("here")
        assert await answer(catalog, "qwen3") == "here"


async def plain(status: int, text: str, kind: str = "application/json") -> web.Response:
    return web.Response(status=status, text=text, content_type=kind)


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        (401, '{"error": {"message": "no"}}', "refuses our API key (HTTP 401)"),
        (500, "oops", "refused the request (HTTP 500)"),
        (302, "", "redirects (HTTP 302)"),
        (200, "<html>hello</html>", "not in OpenAI's format"),
        (200, "[]", "not in OpenAI's format"),
        (200, '{"data": 5}', "not in OpenAI's format"),
        (200, "", "not in OpenAI's format"),
    ],
)
async def test_a_listing_that_cannot_be_had_is_told(
    server: ModelServer, status: int, text: str, words: str
) -> None:
    server.listing = lambda: plain(status, text)
    async with Catalog([model_config(server)]) as catalog:
        (problem,) = await catalog.check()
        assert await ids(catalog) == ["DeepAnalyze-8B"]
    assert words in problem
    assert "(model 'DeepAnalyze-8B')" in problem


async def test_odd_entries_of_a_listing_are_passed_over(server: ModelServer) -> None:
    text = (
        '{"data": [5, null, {}, {"id": 5}, {"id": ""}, {"id": "a", "created": "x", "owned_by": null, '
        '"max_model_len": "long"}, {"id": "a", "owned_by": "again"}]}'
    )
    server.listing = lambda: plain(200, text)
    async with Catalog([model_config(server, "")]) as catalog:
        (info,) = await catalog.list()
    assert (info.id, info.owned_by, info.created, info.context_tokens) == ("a", "deepanalyze", 0, None)


async def test_a_server_that_has_no_listing_answers_all_the_same(server: ModelServer) -> None:
    server.listing = lambda: plain(404, "")
    async with Catalog([model_config(server), model_config(server, "")]) as catalog:
        assert list(await catalog.check()) == [
            f"model server {server.host} lists no model; name one with its id"
        ]
        (info,) = await catalog.list()
    assert (info.reachable, info.listed) == (True, None)


async def test_an_id_that_its_server_does_not_list_is_told(server: ModelServer) -> None:
    server.models = [f"model-{n}" for n in range(7)]
    async with Catalog([model_config(server, "modle-1"), model_config(server, "model-1")]) as catalog:
        (problem,) = await catalog.check()
    assert problem == (
        f"model server {server.host} (model 'modle-1') does not list that id, but model-0, model-1, model-2, model-3, "
        "model-4, …; check the id"
    )


async def test_probing_tells_in_the_log_and_delays_nothing(server: ModelServer, silent: ModelServer) -> None:
    with capture_logs() as logs:
        async with Catalog([NOWHERE, model_config(server), model_config(silent, "mute")]) as catalog:
            catalog.probe_soon()
            server.say("quick")
            assert await answer(catalog, "DeepAnalyze-8B") == "quick"
            problems = await catalog.probed()
    assert [record["problem"] for record in logs if record["log_level"] == "warning"] == list(problems)
    assert ["cannot be reached" in problems[0], "did not answer within 3 s" in problems[1]] == [True, True]
    assert len(problems) == 2


async def test_a_catalog_closes_while_it_probes(silent: ModelServer) -> None:
    async with Catalog([model_config(silent)]) as catalog:
        catalog.probe_soon()
        probing = asyncio.create_task(catalog.probed())
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await probing
    async with Catalog([]) as catalog:
        assert list(await catalog.probed()) == []


async def test_a_server_that_comes_back_is_told(server: ModelServer) -> None:
    clock = Clock()
    server.listing = lambda: plain(500, "")
    async with Catalog([model_config(server)], clock=clock) as catalog:
        assert len(await catalog.check()) == 1
        assert list(catalog.silent_servers()) == [server.host]
        server.listing = None
        clock.now += 6
        assert list(await catalog.check()) == []
        assert list(catalog.silent_servers()) == []
