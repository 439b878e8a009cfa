"""OpenAI's body, DeepAnalyze's additions, and what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deepanalyze.accounts import Principal, User
from deepanalyze.analysis.conversation import Turn
from deepanalyze.analysis.request import AnalysisRequest
from deepanalyze.api.chat_request import ChatBody
from deepanalyze.errors import InvalidRequest

PRINCIPAL = Principal(User("user-1", "ada", "analyst"))


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}


def asked(**fields: Any) -> AnalysisRequest:
    return ChatBody.model_validate(body(**fields)).analysis(PRINCIPAL, "req-1")


def test_text_stays_text() -> None:
    assert asked().turns == [Turn("user", "hi")]


@pytest.mark.parametrize("text", ["hi", {"value": "hi"}, {"value": "hi", "annotations": []}])
def test_text_parts_become_text(text: Any) -> None:
    parts = [{"type": "text", "text": text}, {"type": "text", "text": "there"}]
    assert asked(messages=[{"role": "user", "content": parts}]).turns == [Turn("user", "hi\nthere")]


def test_images_are_passed_on() -> None:
    parts = [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
    ]
    assert asked(messages=[{"role": "user", "content": parts}]).turns == [Turn("user", parts)]


def test_unknown_fields_are_ignored() -> None:
    extra = {"role": "user", "content": "hi", "name": "ada", "refusal": None}
    assert asked(messages=[extra], metadata={"a": 1}, store=True, tools=[], logit_bias=None).turns


def test_references_know_their_places() -> None:
    request = asked(
        messages=[
            {
                "role": "system",
                "content": "be brief",
                "data_sources": [{"source_id": "a", "path": "x/*.csv"}],
            },
            {
                "role": "user",
                "content": "go",
                "file_ids": ["file-1", "file-2"],
                "data_sources": [
                    {"source_id": "b", "query": "SELECT 1", "save_as": "one.csv"},
                    {"source_id": "b", "table": "s.t", "max_rows": 5, "type": "postgresql"},
                ],
            },
        ],
        file_ids=["file-3"],
        data_sources=[{"source_id": "c", "path": "y"}],
    )
    assert [(placed.param, placed.reference.source_id) for placed in request.references] == [
        ("messages[0].data_sources[0]", "a"),
        ("messages[1].data_sources[0]", "b"),
        ("messages[1].data_sources[1]", "b"),
        ("data_sources[0]", "c"),
    ]
    assert request.references[2].reference.max_rows == 5
    assert [(placed.param, placed.file_id) for placed in request.files] == [
        ("messages[1].file_ids[0]", "file-1"),
        ("messages[1].file_ids[1]", "file-2"),
        ("file_ids[0]", "file-3"),
    ]


def test_an_answer_sent_back_as_history_fetches_nothing() -> None:
    answer = {
        "role": "assistant",
        "content": "42",
        "thread_id": "thread-1",
        "files": [{"name": "a.png", "url": "http://x/a.png"}],
        "data_sources": [
            {"source_id": "ds-1", "name": "s", "type": "postgresql", "file": "q.csv", "rows": 1}
        ],
    }
    request = asked(messages=[{"role": "user", "content": "a"}, answer, {"role": "user", "content": "b"}])
    assert request.references == []
    assert request.thread_id is None


@pytest.mark.parametrize(
    "fields",
    [
        {"thread_id": "thread-1"},
        {"messages": [{"role": "user", "content": "hi", "thread_id": "thread-1"}]},
        {"messages": [{"role": "user", "content": "hi", "thread_id": "thread-1"}], "thread_id": "thread-1"},
    ],
)
def test_the_thread_is_named_in_the_last_message_or_the_body(fields: dict[str, Any]) -> None:
    assert asked(**fields).thread_id == "thread-1"


def test_two_threads_are_one_too_many() -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(messages=[{"role": "user", "content": "hi", "thread_id": "thread-1"}], thread_id="thread-2")
    assert caught.value.param == "messages[0].thread_id"


def test_sampling_is_passed_on() -> None:
    options = asked(
        temperature=0.1,
        top_p=0.9,
        max_tokens=7,
        stop="END",
        seed=3,
        presence_penalty=1,
        frequency_penalty=None,
    ).options
    assert (options.temperature, options.top_p, options.max_tokens, options.seed) == (0.1, 0.9, 7, 3)
    assert options.stop == ("END",)
    assert options.extra == {"presence_penalty": 1}
    assert asked(max_tokens=7, max_completion_tokens=9, stop=["a", "b"]).options.max_tokens == 9


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"messages": []},
        {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
        {"messages": [{"role": "wizard", "content": "hi"}]},
        {"temperature": 3},
        {"max_tokens": 0},
        {"stop": 5},
        {"stop": ["x"] * 17},
        {"data_sources": [{"source_id": "a"}]},
        {"data_sources": [{"source_id": "a", "path": "x", "query": "SELECT 1"}]},
        {"data_sources": [{"source_id": "a", "path": "x", "max_row": 5}]},
        {"data_sources": [{"source_id": "a", "table": "x", "max_rows": 0}]},
        {"data_sources": [{"source_id": "a", "table": "x", "max_rows": True}]},
        {"data_sources": [{"source_id": "a", "table": "x", "format": "xml"}]},
        {"data_sources": {"source_id": "a"}},
        {"file_ids": "file-1"},
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ChatBody.model_validate(body(**fields))


def test_the_assistant_does_not_have_the_last_word() -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
    assert caught.value.param == "messages[1].role"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KNOWN = sorted(ChatBody.model_fields)


@given(fields=st.dictionaries(st.sampled_from(KNOWN) | st.text(max_size=6), JSON, max_size=5), content=JSON)
def test_any_json_is_either_understood_or_refused(fields: dict[str, Any], content: Any) -> None:
    sent = {**body(messages=[{"role": "user", "content": content}]), **fields}
    try:
        request = ChatBody.model_validate(sent).analysis(PRINCIPAL, "req-1")
    except (ValidationError, InvalidRequest):
        return
    assert all(isinstance(turn.content, str | list) for turn in request.turns)
