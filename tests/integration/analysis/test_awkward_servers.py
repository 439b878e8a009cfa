"""Model servers that speak the protocol in every way that servers do, and in some that they should not."""

from __future__ import annotations

import asyncio
import email.utils
import json
import time
import tracemalloc
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepanalyze.analysis.conversation import Conversation, SamplingOptions, Turn
from deepanalyze.analysis.models.base import Chunk, TokenUsage
from deepanalyze.analysis.models.openai import OpenAIModel
from deepanalyze.analysis.models.sse import MAX_EVENT_BYTES
from deepanalyze.errors import ModelUnavailable
from tests.support.desk import QUICK_RETRIES, model_config
from tests.support.model_server import DONE, ModelServer, Reply, delta, model_server, sse

TALK = Conversation((Turn("user", "Why?"),))
TEXT = "Grüße, ☃! \u2028 <Answer>42 €</Answer>"
PIECES = [TEXT[:3], TEXT[3:9], TEXT[9:]]


async def said(server: ModelServer, **config: Any) -> list[Chunk]:
    model = OpenAIModel(model_config(server, **config), retries=QUICK_RETRIES)
    try:
        async with aclosing(model.stream(TALK, SamplingOptions())) as chunks:
            return [chunk async for chunk in chunks]
    finally:
        await model.aclose()


async def refused(server: ModelServer, **config: Any) -> ModelUnavailable:
    with pytest.raises(ModelUnavailable) as caught:
        await said(server, **config)
    assert "model 'DeepAnalyze-8B' at 127.0.0.1:" in caught.value.message
    return caught.value


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def usage(chunks: list[Chunk]) -> TokenUsage:
    return sum((chunk.usage for chunk in chunks if chunk.usage), TokenUsage())


def reason(chunks: list[Chunk]) -> str | None:
    return next((chunk.finish_reason for chunk in chunks if chunk.finish_reason), None)


CONTENT = [delta(piece) for piece in PIECES]
STOP = delta(finish_reason="stop")
USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}
WHOLE = [*CONTENT, STOP, USAGE, DONE]

# How the answer may be written: it is the same one, with its reason and its usage.
WRITTEN = {
    "plainly": sse(*WHOLE),
    "with CRLF": sse(*WHOLE, end="\r\n\r\n"),
    "with CR": sse(*WHOLE, end="\r\r"),
    "without the blank": sse(*WHOLE, prefix="data:"),
    "with comments": b": ping\n\n".join([b"", *(sse(event) for event in WHOLE), b""]),
    "with event names and ids": sse(*WHOLE, prefix="event: chunk\nid: 5\nretry: 10\ndata: "),
    "over several data lines": b'data: {"choices": [\ndata: ]}\n\n' + sse(*WHOLE),
    "with a byte order mark": b"\xef\xbb\xbf" + sse(*WHOLE),
    "with escapes": sse(*WHOLE).decode().encode("ascii", "backslashreplace"),
    "with the role first": sse(delta(role="assistant", refusal=None), *WHOLE),
    "with null for content": sse(delta(role="assistant") | {"usage": None}, delta(None), *WHOLE),
    "with empty choices": sse({"choices": []}, {"choices": None}, {"prompt_filter_results": []}, *WHOLE),
    "with reasoning": sse(delta(reasoning_content="hm"), delta("", reasoning="so"), *WHOLE),
    "with the reason in the last piece": sse(*CONTENT[:2], delta(PIECES[2], "stop"), USAGE, DONE),
    "with the reason in every chunk after it": sse(*CONTENT, STOP, STOP, USAGE, DONE),
    "with usage in every chunk": sse(
        *(delta(piece, usage=(3, n)) for n, piece in enumerate(PIECES)),
        delta(finish_reason="stop", usage=(3, 4)),
        DONE,
    ),
    "with the usage twice": sse(*CONTENT, STOP | {"usage": USAGE["usage"]}, USAGE, DONE),
    "with the usage before the text": sse(USAGE, *CONTENT, STOP, DONE),
    "with content parts": sse(delta([{"type": "text", "text": TEXT}]), STOP, USAGE, DONE),
    "without [DONE]": sse(*WHOLE[:-1]),
    "without a last blank line": sse(*WHOLE).rstrip(),
    "with more after [DONE]": sse(*WHOLE, delta("no more of this"), "not even JSON"),
}


@pytest.mark.parametrize("packet", [None, 1, 7, 1000])
@pytest.mark.parametrize("how", WRITTEN)
async def test_the_answer_is_the_same_however_it_is_written(
    server: ModelServer, how: str, packet: int | None
) -> None:
    if how == "with escapes":
        server.say(Reply(raw=b"".join(_escaped(event) for event in WHOLE), packet=packet))
    else:
        server.say(Reply(raw=WRITTEN[how], packet=packet))
    chunks = await said(server)
    assert (text(chunks), reason(chunks), usage(chunks)) == (TEXT, "stop", TokenUsage(3, 4))
    assert len(server.requests) == 1


def _escaped(event: Any) -> bytes:
    return f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=20), min_size=1, max_size=8),
    packet=st.integers(1, 200),
    end=st.sampled_from(["\n\n", "\r\n\r\n", "\n\n: ping\n\n", "\r\r"]),
)
def test_pieces_come_as_they_were_sent(pieces: list[str], packet: int, end: str) -> None:
    async def ask() -> list[Chunk]:
        sent = sse(*(delta(piece) for piece in pieces), STOP, DONE, end=end)
        async with model_server(Reply(raw=sent, packet=packet)) as server:
            return await said(server)

    chunks = asyncio.run(ask())
    assert [chunk.text for chunk in chunks if chunk.text] == [piece for piece in pieces if piece]


@pytest.mark.parametrize("chunk", [1, 2, 5, len(TEXT)])
async def test_every_size_of_pieces(server: ModelServer, chunk: int) -> None:
    server.say(Reply(TEXT, chunk=chunk))
    assert text(await said(server)) == TEXT


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", ""])
async def test_a_stream_counts_whatever_it_is_called(server: ModelServer, kind: str) -> None:
    server.say(Reply(raw=sse(*WHOLE), content_type=kind))
    assert text(await said(server)) == TEXT


async def test_a_missing_reason_is_no_failure_where_the_end_is_told(server: ModelServer) -> None:
    server.say(Reply(raw=sse(*CONTENT, DONE)), Reply("short", finish_reason=None, usage=None))
    chunks = await said(server)
    assert (text(chunks), reason(chunks), usage(chunks)) == (TEXT, None, TokenUsage())
    assert text(await said(server)) == "short"


async def test_an_answer_that_just_ends_was_cut_off(server: ModelServer) -> None:
    server.say(Reply(raw=sse(*CONTENT)), "never asked")
    assert "middle of its answer" in (await refused(server)).message
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(raw=b"", cut_after=0),  # headers, then nothing
        Reply(raw=b"data: {", cut_after=0),
        Reply(raw=sse(delta(role="assistant")), cut_after=0),
        Reply(raw=sse(delta(role="assistant"))),  # ends in order, but without a word
        Reply(raw=sse(delta(reasoning_content="hm")), cut_after=0),
        Reply(raw=sse({"error": {"message": "busy"}})),
        Reply(raw=b"data: nonsense\n\n"),
        *[Reply(status=status) for status in (408, 409, 429, 500, 502, 503, 504)],
        Reply(status=503, raw=b"<html>back soon</html>", content_type="text/html"),
        Reply(status=500, raw=b"\xff\xfe not JSON", content_type="application/json"),
        Reply(status=429, headers={"Retry-After": "0"}),
        Reply(status=429, headers={"Retry-After": "soon"}),
        Reply(status=503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    ],
    ids=lambda reply: f"{reply.status or 200} {(reply.raw or b'')[:30]!r} {reply.headers}",
)
async def test_what_fails_before_the_first_text_is_tried_again(server: ModelServer, reply: Reply) -> None:
    server.say(reply, "yes")
    assert text(await said(server)) == "yes"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(raw=sse(*CONTENT[:1]), cut_after=0), "dropped the connection in the middle of its answer"),
        (Reply(raw=sse(*CONTENT[:1]) + b"data: {"), "not in OpenAI's format"),
        (Reply(raw=sse(*CONTENT[:1], {"error": {"message": "CUDA is on fire"}})), "CUDA is on fire"),
        (Reply(raw=sse(*CONTENT[:1], {"error": "CUDA is on fire"})), "CUDA is on fire"),
    ],
    ids=["cut", "garbage", "error", "error as text"],
)
async def test_what_fails_after_the_first_text_is_told_at_once(
    server: ModelServer, reply: Reply, words: str
) -> None:
    server.say(reply, "never asked")
    assert words in (await refused(server)).message
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            Reply(raw=b"<html><body>Welcome</body></html>", content_type="text/html"),
            "answered with text/html instead of a stream; check that base_url",
        ),
        (Reply(raw=b'{"choices": []}', content_type="application/json"), "answered with application/json"),
        (Reply(raw=b": ping\n\n"), "answered with text/event-stream instead of a stream"),
        (Reply(status=404, raw=b"<html>Not found</html>", content_type="text/html"), "HTTP 404"),
        (Reply(status=404, raw=b"<html>Not found</html>", content_type="text/html"), "a web page"),
        (
            Reply(status=307, headers={"Location": "http://user:pw@elsewhere.example/v1?sig=5"}),
            "redirects to http://elsewhere.example (HTTP 307), which is not followed; set base_url",
        ),
        (Reply(status=308, headers={"Location": "/v2/chat"}), "redirects (HTTP 308)"),
        (Reply(status=413, error="too long"), "refused the request (HTTP 413): too long"),
        (Reply(status=429, headers={"Retry-After": "3600"}), "busy (HTTP 429)"),
    ],
)
async def test_what_would_fail_again_is_not_tried_again(
    server: ModelServer, reply: Reply, words: str
) -> None:
    server.say(reply, "never asked")
    assert words in (await refused(server)).message
    assert len(server.requests) == 1


async def test_a_server_says_when_to_come_back_in_seconds_or_as_a_date(server: ModelServer) -> None:
    server.say(Reply(status=429, headers={"Retry-After": "90"}))
    assert (await refused(server)).retry_after_s == 90
    in_an_hour = email.utils.formatdate(time.time() + 3600, usegmt=True)
    server.say(Reply(status=503, headers={"Retry-After": in_an_hour}))
    wait = (await refused(server)).retry_after_s
    assert wait is not None
    assert 3000 < wait <= 3600


@pytest.mark.parametrize(
    "reply",
    [
        Reply(hold=asyncio.Event()),  # before the headers
        Reply(raw=b"", hang_after=0),  # after them
        Reply(raw=sse(delta(role="assistant")), hang_after=0),
        Reply(raw=b"", endless=b": still here\n\n"),
    ],
    ids=["before the headers", "after the headers", "after the role", "behind keep-alives"],
)
async def test_a_server_that_hangs_is_left_after_its_time(server: ModelServer, reply: Reply) -> None:
    """And is not asked again: that would take as long once more."""
    server.say(reply, "never asked")
    assert "sent nothing for 0.3 s (timeout_s)" in (await refused(server, timeout_s=0.3)).message
    async with asyncio.timeout(10):
        await server.left.wait()
    assert len(server.requests) == 1


async def test_a_line_without_an_end_does_not_fill_the_memory(server: ModelServer) -> None:
    server.say(Reply(raw=b"data: ", endless=b"x" * 64 * 1024))
    tracemalloc.start()
    try:
        assert f"an event of more than {MAX_EVENT_BYTES:,} bytes" in (await refused(server)).message
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10 * MAX_EVENT_BYTES
    async with asyncio.timeout(10):
        await server.left.wait()


async def test_a_gigantic_event_within_the_bound_is_read(server: ModelServer) -> None:
    long = "ü" * (MAX_EVENT_BYTES // 2 - 1000)
    server.say(Reply(raw=sse(delta(long), STOP, DONE), packet=64 * 1024))
    assert text(await said(server)) == long


async def test_a_stream_without_an_end_can_be_left(server: ModelServer) -> None:
    server.say(Reply(raw=b"", endless=sse(delta("more "))))
    model = OpenAIModel(model_config(server))
    async with aclosing(model.stream(TALK, SamplingOptions())) as chunks:
        for _ in range(1000):
            assert (await anext(chunks)).text == "more "
    async with asyncio.timeout(10):
        await server.left.wait()
    await model.aclose()


async def test_what_comes_after_done_is_not_waited_for(server: ModelServer) -> None:
    server.say(Reply(raw=sse(*WHOLE), hang_after=0))
    assert text(await said(server)) == TEXT
    async with asyncio.timeout(10):
        await server.left.wait()


async def test_a_connection_is_used_again_for_the_next_answer(server: ModelServer) -> None:
    server.say(*[Reply(raw=sse(*WHOLE), packet=50)] * 3)
    model = OpenAIModel(model_config(server))
    for _ in range(3):
        async with aclosing(model.stream(TALK, SamplingOptions())) as chunks:
            assert text([chunk async for chunk in chunks]) == TEXT
    await model.aclose()
    assert len(set(server.peers)) == 1


async def test_headers_go_with_every_request_and_may_replace_the_key(server: ModelServer) -> None:
    server.say("x", "y")
    await said(server, headers={"X-Team": "red", "Authorization": "Basic abc"})
    await said(server, headers={"x-team": "blue"})
    first, second = server.headers
    assert (first["X-Team"], first["Authorization"]) == ("red", "Basic abc")
    assert (second["X-Team"], second["Authorization"][:7]) == ("blue", "Bearer ")


async def test_a_slow_answer_keeps_nobody_elses_waiting(server: ModelServer) -> None:
    """Of the same model, over the same client."""
    held = asyncio.Event()
    server.say(*[Reply("slow", hold=held)] * 30, "quick")
    model = OpenAIModel(model_config(server))

    async def ask() -> str:
        async with aclosing(model.stream(TALK, SamplingOptions())) as chunks:
            return text([chunk async for chunk in chunks])

    waiting = []
    for _ in range(30):
        server.asked.clear()
        waiting.append(asyncio.create_task(ask()))
        await server.asked.wait()
    assert await ask() == "quick"
    assert not any(task.done() for task in waiting)
    held.set()
    assert await asyncio.gather(*waiting) == ["slow"] * 30
    await model.aclose()


async def test_text_that_is_not_unicode_is_sent_as_far_as_it_can_be(server: ModelServer) -> None:
    server.say("yes")
    model = OpenAIModel(model_config(server))
    talk = Conversation((Turn("user", "half a \ud83d snowman"),))
    async with aclosing(model.stream(talk, SamplingOptions())) as chunks:
        assert text([chunk async for chunk in chunks]) == "yes"
    assert "snowman" in server.messages()[0]["content"]
    await model.aclose()
