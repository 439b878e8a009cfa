"""Which models there are, and which one a request gets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deepanalyze.analysis.conversation import Conversation, SamplingOptions
from deepanalyze.analysis.models.base import Chunk
from deepanalyze.analysis.models.catalog import Catalog
from deepanalyze.analysis.models.openai import OpenAIModel
from deepanalyze.errors import ModelNotFound
from deepanalyze.settings import ModelConfig
from tests.support.desk import Clock, model_config
from tests.support.model_server import ModelServer


class BuiltIn:
    id = "built-in"
    prices = None
    takes_images = False

    async def stream(self, conversation: Conversation, options: SamplingOptions) -> AsyncIterator[Chunk]:
        yield Chunk("hello")


NOWHERE = ModelConfig(id="far-away", base_url="http://127.0.0.1:9/v1")  # type: ignore[arg-type]


async def ids(catalog: Catalog) -> list[str]:
    return [model.id for model in await catalog.list()]


async def test_configured_listed_and_built_in_models_are_offered(server: ModelServer) -> None:
    server.models = ["DeepAnalyze-8B", "qwen3"]
    async with Catalog([model_config(server), NOWHERE], BuiltIn()) as catalog:
        assert sorted(await ids(catalog)) == ["DeepAnalyze-8B", "built-in", "far-away", "qwen3"]


async def test_a_server_without_a_configured_id_offers_what_it_lists(server: ModelServer) -> None:
    server.models = ["qwen3", "llama"]
    async with Catalog([model_config(server, id="", protocol="deepanalyze")]) as catalog:
        assert sorted(await ids(catalog)) == ["llama", "qwen3"]
        model = await catalog.get("qwen3")
    assert isinstance(model, OpenAIModel)
    assert (model.id, model.protocol) == ("qwen3", "deepanalyze")


async def test_a_neighbour_of_a_configured_model_gets_its_own_protocol(server: ModelServer) -> None:
    server.models = ["tuned", "qwen3"]
    async with Catalog([model_config(server, id="tuned", protocol="deepanalyze")]) as catalog:
        protocols = [(await catalog.get(id)).protocol for id in server.models]  # type: ignore[attr-defined]
    assert protocols == ["deepanalyze", "chat"]


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
