"""Model servers that fail, as clients of the API see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from anyio.from_thread import BlockingPortal
from pydantic import SecretStr

from deepanalyze.settings import ModelConfig
from tests.support.answers import error_of
from tests.support.canaries import canary
from tests.support.model_server import ModelServer, Reply, model_server
from tests.support.server import ThreadedServer, serving

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
ANSWER = "<Answer>Because.</Answer>"


@pytest.fixture(scope="module")
def shared(models_loop: BlockingPortal) -> Iterator[ModelServer]:
    with models_loop.wrap_async_context_manager(model_server()) as started:
        started.models = ["first", "second"]
        started.max_model_len = 4096
        yield started


@pytest.fixture
def models(shared: ModelServer) -> ModelServer:
    shared.forget()
    return shared


@pytest.fixture(scope="module")
def server(shared: ModelServer) -> Iterator[ThreadedServer]:
    header = SecretStr(canary("model header"))
    configs = (
        ModelConfig(
            id="first",
            base_url=shared.base_url,
            fallback=("second",),
            headers={"X-Team": header},
            images=True,
        ),
        ModelConfig(id="second", base_url=shared.base_url),
        ModelConfig(id="DeepAnalyze-8B", base_url=shared.base_url),
    )
    with serving(models=configs, retry_max_attempts=1) as server:
        yield server


def ask(client: openai.OpenAI, model: str = "first", content: Any = "Why?") -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])


def test_the_answer_tells_which_model_gave_it(client: openai.OpenAI, models: ModelServer) -> None:
    models.say(Reply(status=500), ANSWER)
    answer = ask(client)
    assert answer.model == "second"
    expected = f"*Model 'first' could not answer; this is from 'second'.*\n\n{ANSWER}"
    assert answer.choices[0].message.content == expected
    assert [request["model"] for request in models.requests] == ["first", "second"]
    assert models.headers[-2]["X-Team"] == canary("model header")
    assert "X-Team" not in models.headers[-1]
    models.say(ANSWER)
    assert ask(client).model == "first"


def test_every_chunk_tells_it_from_then_on(client: openai.OpenAI, models: ModelServer) -> None:
    models.say(Reply(status=500), ANSWER)
    stream = client.chat.completions.create(
        model="first", messages=[{"role": "user", "content": "Why?"}], stream=True
    )
    chunks = list(stream)
    texts = [chunk for chunk in chunks if chunk.choices[0].delta.content]
    assert {chunk.model for chunk in texts} == {"second"}
    assert (chunks[0].model, chunks[-1].model) == ("first", "second")
    events = [event for chunk in chunks if (event := getattr(chunk.choices[0].delta, "event", None))]
    (switched,) = [event for event in events if "instead_of" in event.get("detail", {})]
    assert switched["detail"] == {"model": "second", "instead_of": "first"}
    assert "'first'" in switched["message"]
    assert "asking 'second' instead" in switched["message"]


def test_followers_are_told_the_same(
    server: ThreadedServer, client: openai.OpenAI, models: ModelServer
) -> None:
    models.say(Reply(status=500), ANSWER)
    answer = ask(client)
    thread = answer.choices[0].message.thread_id
    with server.client(client.api_key) as http:
        lines = http.get(f"/v1/threads/{thread}/events").text.splitlines()
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert {c["model"] for c in chunks if c["choices"][0]["delta"].get("content")} == {"second"}


@pytest.mark.parametrize("stream", [False, True])
def test_when_all_fail_it_is_an_error_with_its_status(
    server: ThreadedServer, client: openai.OpenAI, models: ModelServer, stream: bool
) -> None:
    models.say(Reply(status=500, error="first is broken"), Reply(status=500, error="second is broken"))
    body = {"model": "first", "messages": [{"role": "user", "content": "Why?"}], "stream": stream}
    with server.client(client.api_key) as http:
        error = error_of(http.post("/v1/chat/completions", json=body), 502, "model_unavailable")
    assert [detail["model"] for detail in error["details"]] == ["first", "second"]
    assert "first is broken" in error["message"]
    assert "second is broken" in error["message"]


@pytest.mark.parametrize("model", ["DeepAnalyze-8B", "deepanalyze-profiler"])
def test_images_are_refused_by_models_that_take_none(
    server: ThreadedServer, client: openai.OpenAI, models: ModelServer, model: str
) -> None:
    content = [{"type": "text", "text": "What is it?"}, IMAGE]
    body = {"model": model, "messages": [{"role": "user", "content": content}]}
    with server.client(client.api_key) as http:
        error = error_of(http.post("/v1/chat/completions", json=body), 400, "not_supported", "messages")
    assert f"model '{model}' takes no images" in error["message"]
    assert models.requests == []


def test_images_reach_a_model_that_takes_them(client: openai.OpenAI, models: ModelServer) -> None:
    models.say(ANSWER)
    content = [{"type": "text", "text": "What is it?"}, IMAGE]
    assert ask(client, content=content).choices[0].message.content == ANSWER
    assert IMAGE in models.messages()[-1]["content"]


def test_the_list_tells_what_is_known(
    server: ThreadedServer, client: openai.OpenAI, models: ModelServer
) -> None:
    known = {model.id: model.model_dump() for model in client.models.list()}
    assert list(known) == ["deepanalyze-profiler", "first", "second", "DeepAnalyze-8B"]
    assert known["first"].items() >= {
        "id": "first",
        "object": "model",
        "created": 1,
        "owned_by": "vllm",
        "context_tokens": 4096,
        "protocol": "chat",
        "images": True,
        "reachable": True,
        "listed": True,
    }.items()  # fmt: skip
    assert (known["DeepAnalyze-8B"]["listed"], known["DeepAnalyze-8B"]["protocol"]) == (False, "deepanalyze")
    assert client.models.retrieve("second").model_dump() == known["second"]


def test_readiness_tells_what_a_server_does_not_list(server: ThreadedServer) -> None:
    server.call(server.runtime.models.probed)
    with server.anonymous() as http:
        check = http.get("/health/ready").json()["checks"]["models"]
    assert check["status"] == "degraded"
    assert check["not_answering"] == []
    (problem,) = check["problems"]
    assert "(model 'DeepAnalyze-8B') does not list that id, but first, second; check the id" in problem
