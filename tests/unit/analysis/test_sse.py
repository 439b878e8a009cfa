"""Server-sent events, however their bytes are cut."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepanalyze.analysis.models.sse import EventDecoder, EventTooLong

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def decoded(*pieces: bytes, max_bytes: int = 10_000) -> list[str]:
    decoder = EventDecoder(max_bytes)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return [*events, *decoder.finish()]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(st.lists(TEXTS, max_size=6), LINE_ENDS, st.booleans(), st.lists(st.integers(0, 10_000), max_size=30))
@example(["☃", "\u2028 is no line end, nor \x85 or \x0b"], "\r\n", True, list(range(400)))
def test_events_are_the_same_however_they_are_cut(
    texts: list[str], end: str, decorated: bool, places: list[int]
) -> None:
    """In JSON, as model servers send them; a line end is never part of it."""
    lines = [f"data: {json.dumps({'content': text}, ensure_ascii=False)}{end}{end}" for text in texts]
    if decorated:
        lines = [f": keep-alive{end}event: message{end}id: 7{end}retry: 5{end}{line}{end}" for line in lines]
    data = "".join(lines).encode()
    for pieces in ([data], cut(data, places), [data[n : n + 1] for n in range(len(data))]):
        assert [json.loads(event)["content"] for event in decoded(*pieces)] == texts


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"data: a\n\ndata: b\n\n", ["a", "b"]),
        (b"data:a\n\ndata:  b\n\n", ["a", " b"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data: a\n\ndata: b", ["a", "b"]),  # the end is missing
        (b"data: a\r\r\n\r\n", ["a"]),
        (b": only\n\n:\n\nevent: x\n\nnonsense\n\n", []),
        (b"data\n\n", [""]),
        (b"", []),
        (b"data: \xff\n\n", ["\ufffd"]),
    ],
)
def test_what_counts_as_an_event(data: bytes, events: list[str]) -> None:
    assert decoded(data) == events


def test_an_event_has_an_end() -> None:
    with pytest.raises(EventTooLong, match="more than 100 bytes"):
        decoded(*[b"x"] * 101, max_bytes=100)
    with pytest.raises(EventTooLong):
        decoded(*[b"data: 0123456789\n"] * 10, max_bytes=100)


def test_many_events_and_comments_may_be_longer_than_one() -> None:
    assert decoded(*[b"data: 0123456789\n\n"] * 100, max_bytes=100) == ["0123456789"] * 100
    assert decoded(*[b": 0123456789\n"] * 100, b"data: a\n\n", max_bytes=100) == ["a"]
