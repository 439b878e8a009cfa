"""Requests that run when their key is revoked, their user deleted or the server stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from deepanalyze.accounts import Grant
from deepanalyze.datasources.base import DataItem
from deepanalyze.settings import ModelConfig
from tests.support.answers import error_of
from tests.support.model_server import ModelServer, Reply, model_server
from tests.support.server import Server, served
from tests.support.toysource import PASSWORD, ToyConnector

BODY = {"model": "DeepAnalyze-8B", "messages": [{"role": "user", "content": "Why?"}]}


@asynccontextmanager
async def server_with_a_silent_model() -> AsyncIterator[tuple[Server, ModelServer]]:
    async with model_server() as models:
        models.say(*[Reply("<Answer>\nSo.\n</Answer>", hang_after=1)] * 5)
        scripted = ModelConfig(id="DeepAnalyze-8B", base_url=models.base_url)  # type: ignore[arg-type]
        async with served(models=(scripted,)) as server:
            yield server, models


async def until_asked(models: ModelServer, times: int = 1) -> None:
    async with asyncio.timeout(60):
        while len(models.requests) < times:  # noqa: ASYNC110 - what a model is asked is no event
            await asyncio.sleep(0.01)


async def end(admin: httpx.AsyncClient, how: str) -> None:
    if how == "user":
        path = "/v1/admin/users/ada"
    else:
        [key] = (await admin.get("/v1/admin/api-keys", params={"user": "ada"})).json()["data"]
        path = f"/v1/admin/api-keys/{key['id']}"
    assert (await admin.delete(path)).status_code == 200


class Slow(ToyConnector):
    """Lists for ever."""

    async def iter_items(
        self, path: str | None = None, *, recursive: bool = False
    ) -> AsyncIterator[DataItem]:
        self.listing.set()
        await asyncio.Event().wait()
        yield DataItem("a", "a", "blob", 1, 1)

    async def connect(self) -> None:
        await super().connect()
        self.listing = asyncio.Event()


@pytest.mark.parametrize("how", ["key", "user"])
async def test_what_runs_with_a_revoked_key_ends(how: str) -> None:
    async with served() as server, server.client() as admin:
        registry = server.runtime.registry
        registry.register_connector_class("slow", Slow)
        config = {"toys": [], "password": PASSWORD}
        await admin.post("/v1/data-sources", json={"type": "slow", "name": "box", "config": config})
        async with server.client(await server.user("ada", grants=(Grant("*"),))) as ada, asyncio.timeout(60):
            asking = asyncio.create_task(ada.get("/v1/data-sources/box/browse"))
            connector = await registry.get_connector("box")
            assert isinstance(connector, Slow)
            await connector.listing.wait()
            await end(admin, how)
            answer = await asking
        assert "revoked" in error_of(answer, 401, "invalid_api_key")["message"]


async def test_an_analysis_that_nobody_may_follow_any_more_ends() -> None:
    async with server_with_a_silent_model() as (server, models), server.client() as admin:
        async with server.client(await server.user("ada")) as ada:
            asking = asyncio.create_task(ada.post("/v1/chat/completions", json=BODY))
            await until_asked(models)
            await end(admin, "key")
            error_of(await asking, 401, "invalid_api_key")
        async with asyncio.timeout(30):
            while server.runtime.analyses.counts()["running"]:  # noqa: ASYNC110 - nor is this an event
                await asyncio.sleep(0.01)


async def test_a_stream_of_a_revoked_key_breaks_off() -> None:
    async with server_with_a_silent_model() as (server, models), server.client() as admin:
        ada = server.client(await server.user("ada"))
        stream = ada.stream("POST", "/v1/chat/completions", json={**BODY, "stream": True})
        async with asyncio.timeout(60), ada, stream as answer:
            assert answer.status_code == 200
            await until_asked(models)
            await end(admin, "key")
            with pytest.raises(httpx.RemoteProtocolError):
                async for _ in answer.aiter_bytes():
                    pass


async def test_a_stopped_server_tells_who_listens() -> None:
    async with AsyncExitStack() as serving:
        server, models = await serving.enter_async_context(server_with_a_silent_model())
        async with (
            server.client() as client,
            asyncio.timeout(60),
            client.stream("POST", "/v1/chat/completions", json={**BODY, "stream": True}) as answer,
        ):
            await until_asked(models)
            stopping = asyncio.create_task(serving.aclose())
            lines = [line async for line in answer.aiter_lines() if line.startswith("data: {")]
        await stopping
    last: dict[str, Any] = json.loads(lines[-1].removeprefix("data: "))
    assert last["error"]["code"] == "cancelled"
    assert "the server was stopped" in last["error"]["message"]


async def test_changes_of_one_source_are_made_one_after_another() -> None:
    async with served() as server, server.client() as admin:
        server.runtime.registry.register_connector_class("toy", ToyConnector)
        config = {"toys": [], "password": PASSWORD}
        await admin.post("/v1/data-sources", json={"type": "toy", "name": "box", "config": config})
        changes = [
            admin.patch("/v1/data-sources/box", json={"config": {"toys": [f"{n}.csv"]}}) for n in range(20)
        ]
        answers = await asyncio.gather(*changes)
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.headers["etag"] for answer in answers}) == 20
