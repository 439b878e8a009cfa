"""Both chat forms come from the same events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from deepanalyze.analysis.events import (
    Code,
    Event,
    Execute,
    Failed,
    Fetch,
    File,
    Finished,
    Numbered,
    Status,
    Text,
)
from deepanalyze.analysis.models.base import TokenUsage
from deepanalyze.api.rendering import Answer, ChunkRenderer, FileLinks, completion_object, fold
from deepanalyze.datasources.references import FetchedFile
from deepanalyze.errors import InternalError, ModelUnavailable
from deepanalyze.urls import UrlSigner
from deepanalyze.workspace import WorkspaceFile

ANSWER = Answer("chatcmpl-1", 1_700_000_000, "m", "thread-1")
LINKS = FileLinks(UrlSigner(b"s", "http://host", 60, clock=lambda: 0), "user-1", "thread-1")
CHART = WorkspaceFile("charts/a b.png", 10, 5.5, "image/png")
FETCHED = FetchedFile("q.csv", "ds-1", "sales", "postgresql", 100, rows=3, truncated=True, elapsed_ms=7)
FINISHED = Finished("stop", TokenUsage(3, 4), (CHART,), (FETCHED,))
EVENTS: list[Event] = [
    Fetch("data_sources[0]", "sales", "done", bytes=100, rows=3, files=(FETCHED,)),
    Status("asking the model", {"round": 1}),
    Text("<Analyze>é"),
    Text("☃"),
    Code(1, "print(1)"),
    Execute(1, "ok", "1\n", 5),
    File(CHART),
    FINISHED,
]


def renderer(include_usage: bool = False) -> ChunkRenderer:
    return ChunkRenderer(ANSWER, LINKS, request_id="req-1", include_usage=include_usage)


def rendered(events: list[Event], include_usage: bool = False) -> list[dict[str, Any]]:
    chunks = renderer(include_usage)
    stream = chunks.first() + b"".join(
        chunks.event(Numbered(n, "chatcmpl-1", event)) for n, event in enumerate(events, 1)
    )
    return [
        json.loads(line.removeprefix("data: "))
        for line in stream.decode().splitlines()
        if line.startswith("data: ")
    ]


async def numbered(events: list[Event]) -> AsyncIterator[Numbered]:
    for n, event in enumerate(events, 1):
        yield Numbered(n, "chatcmpl-1", event)


def test_all_chunks_are_of_one_answer_and_the_role_comes_first() -> None:
    chunks = rendered(EVENTS)
    assert {(c["id"], c["object"], c["model"], c["created"]) for c in chunks} == {
        ("chatcmpl-1", "chat.completion.chunk", "m", 1_700_000_000)
    }
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"


def test_pieces_of_text_stay_whole() -> None:
    deltas = [chunk["choices"][0]["delta"].get("content") for chunk in rendered(EVENTS)]
    assert [text for text in deltas if text] == ["<Analyze>é", "☃"]


def test_progress_travels_in_the_event_field_with_its_number() -> None:
    deltas = [chunk["choices"][0]["delta"] for chunk in rendered(EVENTS)]
    events = [delta["event"] for delta in deltas if "event" in delta]
    assert [(event["n"], event["type"]) for event in events] == [
        (1, "fetch"),
        (2, "status"),
        (5, "code"),
        (6, "execute"),
        (7, "file"),
    ]
    assert events[0]["files"][0]["file"] == "q.csv"
    assert events[3]["output"] == "1\n"
    assert events[4]["url"].startswith("http://host/v1/threads/thread-1/files/charts/a%20b.png?")


def test_the_last_chunk_has_files_thread_and_sources() -> None:
    last = rendered(EVENTS)[-1]["choices"][0]
    assert last["finish_reason"] == "stop"
    assert last["delta"]["thread_id"] == "thread-1"
    assert last["delta"]["files"][0]["name"] == "charts/a b.png"
    assert last["delta"]["data_sources"] == [
        {
            "source_id": "ds-1",
            "name": "sales",
            "type": "postgresql",
            "file": "q.csv",
            "rows": 3,
            "bytes": 100,
            "truncated": True,
            "elapsed_ms": 7,
            "path": None,
            "version": None,
            "etag": None,
            "content_encoding": None,
        }
    ]


def test_usage_comes_last_and_only_when_asked_for() -> None:
    chunks = rendered(EVENTS, include_usage=True)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert not any("usage" in chunk for chunk in rendered(EVENTS))


def test_a_failure_is_one_error() -> None:
    [_, failed] = rendered([Failed(ModelUnavailable("the model is gone"))])
    assert failed["error"]["code"] == "model_unavailable"
    assert failed["error"]["request_id"] == "req-1"


def test_each_event_carries_its_number_to_resume_from() -> None:
    assert renderer().event(Numbered(7, "chatcmpl-1", Text("x"))).startswith(b"id: 7\ndata: {")


def test_line_breaks_and_half_characters_do_not_break_the_stream() -> None:
    data = renderer().event(Numbered(1, "chatcmpl-1", Text("a\n\ndata: [DONE]\r\x85\u2028\ud800")))
    assert data.count(b"\n") == 3
    assert json.loads(data.decode().split("data: ", 1)[1])["choices"][0]["delta"]["content"].startswith(
        "a\n\n"
    )


async def test_the_json_answer_is_the_stream_folded() -> None:
    folded = await fold(numbered(EVENTS))
    answer = completion_object(ANSWER, LINKS, folded, ["file-1"])
    message = answer["choices"][0]["message"]
    last = rendered(EVENTS)[-1]["choices"][0]["delta"]
    assert message["content"] == "<Analyze>é☃"
    assert {key: message[key] for key in last} == last
    assert answer["generated_files"] == message["files"]
    assert answer["attached_files"] == ["file-1"]
    assert answer["usage"]["total_tokens"] == 7


async def test_folding_raises_what_the_analysis_failed_with() -> None:
    with pytest.raises(ModelUnavailable):
        await fold(numbered([Text("so far"), Failed(ModelUnavailable("gone"))]))
    with pytest.raises(InternalError):
        await fold(numbered([Text("so far")]))
