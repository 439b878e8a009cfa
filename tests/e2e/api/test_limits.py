"""What one user may run and keep, and that others do not notice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from deepanalyze.settings import ModelConfig
from tests.support.model_server import ModelServer, Reply, model_server
from tests.support.server import served

ANSWER = "<Answer>\nSo.\n</Answer>"


@pytest.fixture
async def models() -> AsyncIterator[ModelServer]:
    async with model_server() as models:
        yield models


def scripted(models: ModelServer) -> dict[str, Any]:
    return {"models": (ModelConfig(id="DeepAnalyze-8B", base_url=models.base_url),)}  # type: ignore[arg-type]


async def ask(client: httpx.AsyncClient, **more: Any) -> httpx.Response:
    body = {"model": "DeepAnalyze-8B", "messages": [{"role": "user", "content": "Why?"}], **more}
    return await client.post("/v1/chat/completions", json=body)


async def upload(client: httpx.AsyncClient, size: int) -> httpx.Response:
    files = {"file": ("data.bin", b"x" * size)}
    return await client.post("/v1/files", files=files, data={"purpose": "assistants"})


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def thread_of(answer: httpx.Response) -> str:
    return str(answer.json()["choices"][0]["message"]["thread_id"])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what the server is at is no event for others
            await asyncio.sleep(0.01)


async def test_a_crowd_of_one_user_keeps_no_other_waiting_and_has_an_end(models: ModelServer) -> None:
    hold = asyncio.Event()
    models.say(Reply(ANSWER, hold=hold), ANSWER, ANSWER)
    limits = {"max_analyses": 2, "max_analyses_per_user": 1, "max_queued_analyses": 1}
    async with served(scripted(models), **limits) as server:
        ada, bob = await server.user("ada"), await server.user("bob")
        async with server.client(ada) as client, asyncio.TaskGroup() as group:
            crowd = [group.create_task(ask(client)) for _ in range(5)]
            await until(lambda: sum(task.done() for task in crowd) == 3 and len(models.requests) == 1)
            refused = [task.result() for task in crowd if task.done()]
            assert {code_of(answer) for answer in refused} == {(429, "rate_limited")}
            assert "2 of your analyses run or wait" in refused[0].json()["error"]["message"]
            assert int(refused[0].headers["retry-after"]) >= 1
            async with server.client(bob) as other:
                assert (await ask(other)).status_code == 200
            assert sum(task.done() for task in crowd) == 3
            hold.set()
        assert sorted(task.result().status_code for task in crowd) == [200, 200, 429, 429, 429]


async def test_who_waits_is_told_so(models: ModelServer) -> None:
    hold = asyncio.Event()
    models.say(Reply(ANSWER, hold=hold), ANSWER)
    async with served(scripted(models), max_analyses=1) as server, server.client() as client:
        first = asyncio.create_task(ask(client))
        await until(lambda: bool(models.requests))
        told = []
        body = {"model": "DeepAnalyze-8B", "messages": [{"role": "user", "content": "Why?"}], "stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            async for line in answer.aiter_lines():
                told.append(line)
                hold.set() if "queued until another analysis ends" in line else None
        assert told[-2:] == ["data: [DONE]", ""]
        assert (await first).status_code == 200


async def test_uploads_end_at_what_a_user_may_keep(models: ModelServer) -> None:
    async with served(scripted(models), max_workspace_bytes_per_user=10_000) as server:
        ada, bob = await server.user("ada"), await server.user("bob")
        async with server.client(ada) as client:
            kept = (await upload(client, 6_000)).json()["id"]
            refused = await upload(client, 6_000)
            assert code_of(refused) == (413, "quota_exceeded")
            assert "6,000 bytes of the 10,000" in refused.json()["error"]["message"]
            assert [file["id"] for file in (await client.get("/v1/files")).json()["data"]] == [kept]
            assert (await upload(client, 4_000)).status_code == 200
            models.say(ANSWER)
            assert code_of(await ask(client)) == (413, "quota_exceeded")
            async with server.client(bob) as other:
                assert (await upload(other, 6_000)).status_code == 200
            assert (await client.delete(f"/v1/files/{kept}")).status_code == 200
            assert (await upload(client, 6_000)).status_code == 200
        async with server.client(bob) as other:  # what the analysis brings counts, too
            [file] = (await other.get("/v1/files")).json()["data"]
            assert code_of(await ask(other, file_ids=[file["id"]])) == (413, "quota_exceeded")
            assert [t["files"] for t in (await other.get("/v1/threads")).json()["data"]] == [[]]


async def test_code_that_writes_too_much_ends_the_analysis(models: ModelServer) -> None:
    writes = "<Code>\n```python\nopen('big.bin', 'ab').write(b'x' * 20_000)\n```\n</Code>"
    async with (
        served(scripted(models), max_workspace_bytes_per_user=10_000) as server,
        server.client() as client,
    ):
        models.say(writes, writes, ANSWER)
        answer = await ask(client)
        [choice] = answer.json()["choices"]
        assert choice["finish_reason"] == "length"
        assert "max_workspace_bytes_per_user" in choice["message"]["content"]
        assert code_of(await ask(client)) == (413, "quota_exceeded")
        assert (await client.delete(f"/v1/threads/{thread_of(answer)}")).status_code == 200
        models.say(ANSWER)
        assert (await ask(client)).status_code == 200


@pytest.mark.parametrize("obstinate", [False, True])
async def test_code_that_goes_on_writing_is_stopped(models: ModelServer, obstinate: bool) -> None:
    lines = [
        "import time",
        "while True:",
        "    try:",
        "        open('big.bin', 'ab').write(b'x' * 1_000)",
        "        time.sleep(0.01)",
        "    except KeyboardInterrupt:",
        "        pass" if obstinate else "        raise",
    ]
    program = "\n".join(lines)
    removes = "import os\nos.remove('big.bin')"
    models.say(*(f"<Code>\n```python\n{code}\n```\n</Code>" for code in (program, removes)), ANSWER)
    async with (
        served(scripted(models), max_workspace_bytes_per_user=10_000) as server,
        server.client() as client,
    ):
        [choice] = (await ask(client)).json()["choices"]
    assert choice["finish_reason"] == "stop"
    told = choice["message"]["content"]
    assert "max_workspace_bytes_per_user" in told
    assert ("Traceback" in told, "session ended" in told) == (not obstinate, obstinate)


async def test_a_model_that_tidies_up_may_go_on(models: ModelServer) -> None:
    writes = "<Code>\n```python\nopen('big.bin', 'ab').write(b'x' * 20_000)\n```\n</Code>"
    removes = "<Code>\n```python\nimport os\nos.remove('big.bin')\n```\n</Code>"
    models.say(writes, removes, writes, removes, ANSWER)
    async with (
        served(scripted(models), max_workspace_bytes_per_user=10_000) as server,
        server.client() as client,
    ):
        [choice] = (await ask(client)).json()["choices"]
    assert choice["finish_reason"] == "stop"


async def test_a_user_has_no_more_threads_than_may_be(models: ModelServer) -> None:
    models.say(*[ANSWER] * 5)
    async with served(scripted(models), max_threads_per_user=2) as server:
        ada, bob = await server.user("ada"), await server.user("bob")
        async with server.client(ada) as client:
            threads = [thread_of(await ask(client)) for _ in range(2)]
            refused = await ask(client)
            assert code_of(refused) == (413, "quota_exceeded")
            assert "you have 2 threads" in refused.json()["error"]["message"]
            assert (await ask(client, thread_id=threads[0])).status_code == 200
            async with server.client(bob) as other:
                assert (await ask(other)).status_code == 200
            await client.delete(f"/v1/threads/{threads[0]}")
            assert (await ask(client)).status_code == 200
        directories = server.runtime.settings.data_dir / "threads"
        assert len(list(directories.iterdir())) == 3
