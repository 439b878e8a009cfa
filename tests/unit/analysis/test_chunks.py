"""What servers leave out of a chunk, and put in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepanalyze.analysis.models.base import Chunk, TokenUsage
from deepanalyze.analysis.models.chunks import ChunkReader, Malformed, ServerError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
LIKE_A_CHUNK = st.fixed_dictionaries(
    {},
    optional={
        "choices": JSON
        | st.lists(st.fixed_dictionaries({}, optional={"delta": JSON, "finish_reason": JSON}), max_size=2),
        "usage": JSON
        | st.fixed_dictionaries({}, optional={"prompt_tokens": JSON, "completion_tokens": JSON}),
        "error": st.none() | st.just(""),
    },
)


def read(*events: Any) -> list[Chunk]:
    reader = ChunkReader()
    return [reader.read(event if isinstance(event, str) else json.dumps(event)) for event in events]


def choice(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, **fields}]}


@pytest.mark.parametrize(
    ("event", "chunk"),
    [
        (choice(delta={"content": "a"}, finish_reason=None), Chunk("a")),
        (choice(delta={"role": "assistant"}), Chunk()),
        (choice(delta={"role": "assistant", "content": None}), Chunk()),
        (choice(delta=None, finish_reason="stop"), Chunk(finish_reason="stop")),
        (choice(finish_reason="length"), Chunk(finish_reason="length")),
        (choice(delta={"content": "a"}, finish_reason="stop"), Chunk("a", "stop")),
        (choice(delta={"content": [{"type": "text", "text": "a"}, {"type": "x"}, 5]}), Chunk("a")),
        (choice(delta={"reasoning_content": "hm", "reasoning": "hm", "tool_calls": []}), Chunk()),
        ({"choices": []}, Chunk()),
        ({"choices": None, "usage": None}, Chunk()),
        ({"error": None, **choice(delta={"content": "a"})}, Chunk("a")),
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 4}}, Chunk(usage=TokenUsage(3, 4))),
        ({"usage": {"prompt_tokens": 3, "completion_tokens": None}}, Chunk(usage=TokenUsage(3, 0))),
        ({}, Chunk()),
    ],
)
def test_what_a_chunk_is_made_of(event: Any, chunk: Chunk) -> None:
    assert read(event) == [chunk]


def test_usage_that_every_chunk_tells_anew_counts_once() -> None:
    told = [(5, 0), (5, 1), (5, 2), (5, 2), None, (5, 7)]
    events = [{"usage": u and {"prompt_tokens": u[0], "completion_tokens": u[1]}} for u in told]
    usages = [chunk.usage for chunk in read(*events) if chunk.usage]
    assert sum(usages, TokenUsage()) == TokenUsage(5, 7)


@given(LIKE_A_CHUNK)
def test_whatever_is_in_it_gives_a_chunk_of_the_right_types(event: dict[str, Any]) -> None:
    (chunk,) = read(event)
    assert isinstance(chunk.text, str)
    assert chunk.finish_reason is None or isinstance(chunk.finish_reason, str)
    assert chunk.usage is None or chunk.usage.total_tokens > 0


@pytest.mark.parametrize("data", ["", "{", "[]", "5", "null", '"x"', "[" * 100_000])
def test_what_is_no_object_is_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        read(data)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"message": "out of memory", "code": 500}, "out of memory"),
        ({"code": 500}, "500"),
        ("overloaded", "overloaded"),
        ({"x": 1}, "no reason given"),
    ],
)
def test_an_error_in_the_stream(error: Any, words: str) -> None:
    with pytest.raises(ServerError, match=words):
        read({"error": error})
