"""Chat in both forms: with the built-in profiler on real data, and with a scripted model where timing matters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import openai
import psycopg
import pytest
from anyio.from_thread import BlockingPortal

from deepanalyze.api import streaming
from tests.e2e.api.conftest import SCRIPTED
from tests.support.answers import error_of
from tests.support.model_server import ModelServer, Reply
from tests.support.server import NO_TLS, ThreadedServer, bearer
from tests.support.services import BlobContainer, PostgresDatabase
from tests.support.toysource import PASSWORD

PROFILER = "deepanalyze-profiler"
CHAT = "/v1/chat/completions"
ANSWER = "<Answer>\nForty-two ☃.\n</Answer>"


def asking(text: str = "hi", model: str = SCRIPTED, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def chunks_of(response: httpx.Response) -> list[Any]:
    """The data of a stream; `[DONE]` as it is."""
    data = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    return [text if text == "[DONE]" else json.loads(text) for text in data]


def text_of(response: httpx.Response) -> str:
    """The answer's content, of either form."""
    if response.headers["content-type"] == "application/json":
        return str(response.json()["choices"][0]["message"]["content"])
    choices = [choice for chunk in chunks_of(response)[:-1] for choice in chunk["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@pytest.fixture
def sales(admin: httpx.Client, postgres_database: PostgresDatabase, unique: Callable[[str], str]) -> str:
    """The id of a source with a table of 300 sales in three regions, whose mean amounts are 10, 20 and 30."""
    with psycopg.connect(postgres_database.admin_dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE sales (id int PRIMARY KEY, region text, amount int)")
        connection.execute(
            "INSERT INTO sales SELECT n, (ARRAY['north','south','west'])[1 + n % 3], "
            "10 * (1 + n % 3) + (n / 3) % 2 * 2 - 1 FROM generate_series(0, 299) n"
        )
    body = {"type": "postgresql", "name": unique("sales"), "config": postgres_database.analyst_config}
    return str(admin.post("/v1/data-sources", json=body).json()["id"])


@pytest.fixture
def toys(admin: httpx.Client, unique: Callable[[str], str]) -> str:
    config = {"toys": ["a.csv", "b.csv"], "password": PASSWORD}
    answer = admin.post("/v1/data-sources", json={"type": "toy", "name": unique("toys"), "config": config})
    return str(answer.json()["id"])


@pytest.mark.requirement("4.3")
@pytest.mark.requirement("4.2")
@pytest.mark.requirement("4.1")
def test_a_question_over_a_query_and_a_blob_is_answered_with_true_numbers(
    server: ThreadedServer,
    admin: httpx.Client,
    anonymous: httpx.Client,
    sales: str,
    container: BlobContainer,
    unique: Callable[[str], str],
) -> None:
    container.client.upload_blob("targets/regions.csv", "region,target\nnorth,11\nsouth,19\nwest,33\n")
    config = {"container_name": container.name, "connection_string": container.connection_string}
    blobs = {"type": "azure_blob", "name": unique("targets"), "config": config}
    targets = admin.post("/v1/data-sources", json=blobs).json()["id"]
    wanted = [
        {"source_id": sales, "query": "SELECT region, amount FROM sales ORDER BY id", "save_as": "sales.csv"},
        {"source_id": targets, "path": "targets/*.csv"},
    ]
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.admin_key, max_retries=0) as client:
        stream = client.chat.completions.create(
            model=PROFILER,
            messages=[{"role": "user", "content": "average amount by region", "data_sources": wanted}],  # type: ignore[misc]
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage is not None
    deltas = [choice.delta.model_dump() for chunk in chunks for choice in chunk.choices]
    text = "".join(delta.get("content") or "" for delta in deltas)
    assert "<Answer>" in text
    events = [delta["event"] for delta in deltas if delta.get("event")]
    assert {"fetch", "code", "execute", "file"} <= {event["type"] for event in events}
    fetches = [event for event in events if event["type"] == "fetch" and event["status"] == "done"]
    assert {event["param"] for event in fetches} == {
        "messages[0].data_sources[0]",
        "messages[0].data_sources[1]",
    }
    last = deltas[-1]
    fetched = {source["type"]: source for source in last["data_sources"]}
    assert (fetched["postgresql"]["rows"], fetched["postgresql"]["truncated"]) == (300, False)
    answer = text.rpartition("<Answer>")[2]
    for mean in ("10", "20", "30"):
        assert mean in answer
    names = [file["name"] for file in last["files"]]
    assert any(name.endswith(".md") for name in names)
    assert any(name.endswith(".png") for name in names)
    for file in last["files"]:
        assert len(anonymous.get(file["url"]).content) == file["size"]
    workspace = {file["name"] for file in admin.get(f"/v1/threads/{last['thread_id']}/files").json()["data"]}
    assert {"sales.csv", fetched["azure_blob"]["file"]} <= workspace


def test_the_json_form_has_every_field(client: openai.OpenAI, model: ModelServer) -> None:
    model.say(ANSWER)
    file = client.files.create(file=("a.csv", b"x\n1\n"), purpose="assistants")
    answer = client.chat.completions.create(
        model=SCRIPTED,
        messages=[{"role": "user", "content": [{"type": "text", "text": "hi"}], "file_ids": [file.id]}],  # type: ignore[typeddict-unknown-key]
    )
    assert answer.object == "chat.completion"
    assert answer.model == SCRIPTED
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    whole = answer.model_dump()
    assert whole["attached_files"] == [file.id]
    assert whole["generated_files"] == []
    message = whole["choices"][0]["message"]
    assert "Forty-two ☃." in message["content"]
    assert message["thread_id"].startswith("thread-")
    assert message["files"] == []
    assert message["data_sources"] == []


def test_both_forms_say_the_same(ada: httpx.Client, model: ModelServer) -> None:
    model.say(ANSWER, ANSWER)
    whole = ada.post(CHAT, json=asking()).json()["choices"][0]["message"]["content"]
    streamed = ada.post(CHAT, json=asking(stream=True))
    chunks = chunks_of(streamed)
    assert chunks[-1] == "[DONE]"
    assert text_of(streamed) == whole
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks[:-1])
    assert not any("usage" in chunk for chunk in chunks[:-1])


def test_a_thread_goes_on(client: openai.OpenAI, model: ModelServer) -> None:
    model.say(ANSWER, ANSWER)
    question = {"role": "user", "content": "the first question"}
    first = client.chat.completions.create(model=SCRIPTED, messages=[question])  # type: ignore[list-item]
    message = first.choices[0].message.model_dump()
    again = {"role": "user", "content": "the second question", "thread_id": message["thread_id"]}
    second = client.chat.completions.create(model=SCRIPTED, messages=[question, message, again])  # type: ignore[list-item]
    assert second.choices[0].message.model_dump()["thread_id"] == message["thread_id"]
    said = json.dumps(model.messages())
    assert "the first question" in said
    assert "Forty-two" in said
    assert "the second question" in said


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model(ada: httpx.Client, stream: bool) -> None:
    answer = ada.post(CHAT, json=asking(model="gpt-9", stream=stream))
    assert (
        "deepanalyze-profiler"
        in error_of(answer, 404, "model_not_found", answer.json()["error"]["param"])["message"]
    )


@pytest.mark.requirement("4.4")
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_fetched_is_the_answer_and_no_model_is_asked(
    admin: httpx.Client, model: ModelServer, sales: str, toys: str, stream: bool
) -> None:
    wanted = [
        {"source_id": toys, "path": "a.csv"},
        {"source_id": sales, "query": "SELECT nothing FROM sales"},
        {"source_id": toys, "path": "missing.csv"},
        {"source_id": "no-such-source", "path": "x"},
    ]
    body = asking(stream=stream)
    body["messages"][0]["data_sources"] = wanted
    answer = admin.post(CHAT, json=body)
    error = error_of(answer, 400, "query_failed", "messages[0].data_sources[1]")
    assert [(detail["param"], detail["code"]) for detail in error["details"]] == [
        ("messages[0].data_sources[1]", "query_failed"),
        ("messages[0].data_sources[2]", "blob_not_found"),
        ("messages[0].data_sources[3]", "not_found"),
    ]
    assert error["details"][0]["sqlstate"] == "42703"
    assert model.requests == []


def test_anothers_source_file_and_thread_are_not_there(
    admin: httpx.Client, ada: httpx.Client, bob: httpx.Client, model: ModelServer, toys: str
) -> None:
    model.say(ANSWER)
    file = bob.post("/v1/files", files={"file": ("a.csv", b"x\n")}).json()["id"]
    thread = bob.post(CHAT, json=asking()).json()["choices"][0]["message"]["thread_id"]
    for mine in (
        {"data_sources": [{"source_id": toys, "path": "a.csv"}]},
        {"file_ids": [file]},
        {"thread_id": thread},
    ):
        answer = ada.post(CHAT, json=asking(**mine))
        error_of(answer, 404, "not_found", answer.json()["error"]["param"])
    assert len(model.requests) == 1


def test_a_model_server_that_fails(ada: httpx.Client, model: ModelServer) -> None:
    model.say(*[Reply(status=500)] * 10)
    error_of(ada.post(CHAT, json=asking(stream=True)), 502, "model_unavailable")


def test_a_failure_in_the_middle_ends_the_stream_with_one_error(
    ada: httpx.Client, model: ModelServer
) -> None:
    model.say(Reply("<Analyze>a long story " + "x" * 200, cut_after=10))
    answer = ada.post(CHAT, json=asking(stream=True))
    assert answer.status_code == 200
    chunks = chunks_of(answer)
    assert "[DONE]" not in chunks
    assert chunks[-1]["error"]["code"] == "model_unavailable"
    assert chunks[-1]["error"]["request_id"] == answer.headers["x-request-id"]
    assert sum("error" in chunk for chunk in chunks) == 1
    model.say(Reply("<Analyze>a long story " + "x" * 200, cut_after=10))
    error_of(ada.post(CHAT, json=asking()), 502, "model_unavailable")


def test_what_was_fetched_before_is_told_to_the_model(
    admin: httpx.Client, model: ModelServer, sales: str
) -> None:
    sql = "SELECT region FROM sales WHERE amount > 15"
    fetched = admin.post(f"/v1/data-sources/{sales}/fetch", json={"query": sql, "save_as": "big.csv"}).json()
    model.say(ANSWER)
    message = {"role": "user", "content": "hi", "thread_id": fetched["thread_id"]}
    admin.post(CHAT, json={"model": SCRIPTED, "messages": [message]}).raise_for_status()
    told = json.dumps(model.messages())
    assert "big.csv" in told
    assert "FROM sales WHERE amount > 15" in told


@pytest.mark.parametrize("stream", [False, True])
def test_closing_the_connection_stops_the_model(
    server: ThreadedServer, user: Callable[..., str], model: ModelServer, stream: bool
) -> None:
    model.say(Reply("<Analyze>thinking " + "x" * 100, hang_after=3))
    key = user()

    async def leave() -> None:
        async with httpx.AsyncClient(
            base_url=server.url, headers=bearer(key), timeout=60, verify=NO_TLS
        ) as client:
            asked = asyncio.create_task(client.post(CHAT, json=asking(stream=stream)))
            await asyncio.to_thread(_until, model.asked.is_set)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        await asyncio.to_thread(_until, model.left.is_set)

    asyncio.run(leave())


def test_in_the_background_it_goes_on_and_can_be_followed(
    server: ThreadedServer, user: Callable[..., str], model: ModelServer, models_loop: BlockingPortal
) -> None:
    hold = asyncio.Event()
    model.say(Reply(ANSWER, hold=hold))
    with server.client(user()) as client:
        body = asking(stream=True, background=True)
        with client.stream("POST", CHAT, json=body) as answer:
            first = next(line for line in answer.iter_lines() if line.startswith("data: "))
        thread = json.loads(first.removeprefix("data: "))["choices"][0]["delta"]["thread_id"]
        assert client.get(f"/v1/threads/{thread}").json()["status"] == "running"
        models_loop.call(hold.set)
        followed = client.get(f"/v1/threads/{thread}/events")
        chunks = chunks_of(followed)
        assert chunks[-1] == "[DONE]"
        assert "Forty-two ☃." in text_of(followed)
        assert client.get(f"/v1/threads/{thread}").json()["status"] == "idle"
        numbers = [int(line[4:]) for line in followed.text.splitlines() if line.startswith("id: ")]
        assert numbers == list(range(1, len(numbers) + 1))
        for way in ({"params": {"after": numbers[-2]}}, {"headers": {"Last-Event-ID": str(numbers[-2])}}):
            rest = client.get(f"/v1/threads/{thread}/events", **way)  # type: ignore[arg-type]
            assert [line for line in rest.text.splitlines() if line.startswith("id: ")] == [
                f"id: {numbers[-1]}"
            ]


async def test_openais_client_reads_past_keep_alives(
    server: ThreadedServer,
    user: Callable[..., str],
    model: ModelServer,
    models_loop: BlockingPortal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the middle of a stream, where its events have ids: openai's client keeps the last one."""
    monkeypatch.setattr(streaming, "KEEP_ALIVE_S", 0.01)
    hold = asyncio.Event()
    code = "<Analyze>\nI look.\n</Analyze>\n<Code>\n1 + 1\n"
    model.say(code, Reply(ANSWER, hold=hold))
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=user()) as client:
        stream = await client.chat.completions.create(
            model=SCRIPTED, messages=[{"role": "user", "content": "hi"}], stream=True
        )
        text = ""
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            if "</Execute>" in text and not hold.is_set():
                # Time for many keep-alives; were there none, the test would still be right
                await asyncio.sleep(0.1)
                models_loop.call(hold.set)
        assert "Forty-two ☃." in text


def test_cancelling_ends_the_answer(
    server: ThreadedServer, user: Callable[..., str], model: ModelServer
) -> None:
    model.say(Reply("<Analyze>thinking " + "x" * 100, hang_after=3))
    with server.client(user()) as client, client.stream("POST", CHAT, json=asking(stream=True)) as answer:
        lines = answer.iter_lines()
        first = next(line for line in lines if line.startswith("data: "))
        thread = json.loads(first.removeprefix("data: "))["choices"][0]["delta"]["thread_id"]
        with server.client(client.headers["authorization"].removeprefix("Bearer ")) as other:
            assert other.post(f"/v1/threads/{thread}/cancel").json()["cancelled"] is True
            assert other.post(f"/v1/threads/{thread}/cancel").json()["cancelled"] is False
        last = [line for line in lines if line.startswith("data: ")][-1]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "cancelled"


def test_sixty_at_once(server: ThreadedServer, user: Callable[..., str], model: ModelServer) -> None:
    model.say(*[ANSWER] * 60)
    key = user()

    async def ask_all() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=60)
        async with httpx.AsyncClient(
            base_url=server.url, headers=bearer(key), timeout=120, limits=limits, verify=NO_TLS
        ) as client:
            return await asyncio.gather(
                *(client.post(CHAT, json=asking(f"question {n}", stream=n % 2 == 0)) for n in range(60))
            )

    answers = asyncio.run(ask_all())
    assert [answer.status_code for answer in answers] == [200] * 60
    assert all("Forty-two ☃." in text_of(answer) for answer in answers)
    assert len({answer.headers["x-request-id"] for answer in answers}) == 60
    threads = set()
    for answer in answers[1::2]:
        threads.add(answer.json()["choices"][0]["message"]["thread_id"])
    assert len(threads) == 30


def _until(condition: Callable[[], bool]) -> None:
    """For events of another thread's loop, which cannot be awaited here."""
    import time

    while not condition():
        time.sleep(0.005)
