"""Analyses as jobs: numbered, stored, queued, followed, cancelled, and what is left after a restart."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from deepanalyze.analysis.events import Code, Execute, Failed, Finished, Numbered, Status, Text
from deepanalyze.analysis.job import Job
from deepanalyze.analysis.records import AnalysisRecord, EventRecord
from deepanalyze.errors import Cancelled, NotFound
from deepanalyze.sandbox import Sandbox
from tests.support.desk import ADA, BOB, Desk, open_desk
from tests.support.model_server import ModelServer, Reply

ANSWER = "<Answer>\nSo.\n</Answer>"


async def start(desk: Desk, question: str = "Why?", **how: object) -> Job:
    return await desk.analyses.start(desk.request(question, **how))  # type: ignore[arg-type]


async def followed(desk: Desk, thread: str, after: int = 0) -> list[Numbered]:
    return [numbered async for numbered in desk.analyses.follow(ADA, thread, after)]


async def first(job: Job, kind: type) -> Numbered:
    """Follows until the first event of that kind, then leaves."""
    async with aclosing(job.events()) as events:
        async for numbered in events:
            if isinstance(numbered.event, kind):
                return numbered
    raise AssertionError(f"no {kind.__name__}")


async def test_events_are_numbered_without_gaps_and_stored_as_told(desk: Desk, server: ModelServer) -> None:
    server.say(Reply(ANSWER, chunk=1), ANSWER)
    thread = await desk.new_thread()
    one = await desk.ask("First?", thread=thread)
    two = await desk.ask("Second?", thread=thread)
    told = [*one.numbered, *two.numbered]
    assert [n.n for n in told] == list(range(1, len(told) + 1))
    assert await followed(desk, thread) == told
    assert await followed(desk, thread, after=5) == told[5:]
    assert await followed(desk, thread, after=len(told)) == []


async def test_the_answer_is_stored_before_its_end_is_told(desk: Desk, server: ModelServer) -> None:
    server.say(ANSWER)
    job = await start(desk, thread=await desk.new_thread())
    async with aclosing(job.events()) as events:
        async for numbered in events:
            if isinstance(numbered.event, Finished):
                break
        messages = await desk.threads.messages(ADA, job.thread_id)
        analysis = await desk.store.threads.get_analysis(job.id)
    assert [(m.role, m.content, m.analysis_id) for m in messages] == [
        ("user", "Why?", job.id),
        ("assistant", ANSWER, job.id),
    ]
    assert messages[1].extra["usage"] == {"prompt_tokens": 100, "completion_tokens": 10}
    assert analysis is not None
    assert analysis.status == "completed"


async def test_a_second_question_waits_for_the_first_and_knows_its_answer(
    desk: Desk, server: ModelServer
) -> None:
    hold = asyncio.Event()
    server.say(Reply("<Answer>One.</Answer>", hold=hold), "<Answer>Two.</Answer>")
    thread = await desk.new_thread()
    one = await start(desk, "First?", thread=thread)
    two = await start(desk, "Second?", thread=thread)
    ends: list[str] = []

    async def end(job: Job, name: str) -> None:
        async for _ in job.events():
            pass
        ends.append(name)

    following = [asyncio.create_task(end(two, "two")), asyncio.create_task(end(one, "one"))]
    await server.asked.wait()
    assert desk.analyses.status(thread) == "running"
    hold.set()
    await asyncio.gather(*following)
    assert ends == ["one", "two"]
    assert [m["content"] for m in server.messages(1)] == [
        "First?",
        "<Answer>One.</Answer>",
        "# Instruction\nSecond?",
    ]
    events = await followed(desk, thread)
    assert [n.n for n in events] == list(range(1, len(events) + 1))
    queued = next(n for n in events if isinstance(n.event, Status) and "queued" in n.event.message)
    assert queued.analysis_id == two.id
    assert desk.analyses.status(thread) == "idle"


async def test_threads_do_not_wait_for_each_other(desk: Desk, server: ModelServer) -> None:
    hold = asyncio.Event()
    server.say(Reply(ANSWER, hold=hold), ANSWER)
    slow = await start(desk, thread=await desk.new_thread(), background=True)
    await server.asked.wait()
    assert (await desk.ask()).text == ANSWER
    hold.set()
    await slow.wait()


async def test_when_the_last_follower_leaves_the_model_is_not_asked_on(
    desk: Desk, server: ModelServer
) -> None:
    server.say(Reply("<Analyze>endless", hang_after=2))
    job = await start(desk, thread=await desk.new_thread())
    await first(job, Text)
    async with asyncio.timeout(1):
        await server.left.wait()
        await job.wait()
    analysis = await desk.store.threads.get_analysis(job.id)
    assert analysis is not None
    assert analysis.status == "cancelled"
    [*_, last] = await followed(desk, job.thread_id)
    assert isinstance(last.event, Failed)
    assert isinstance(last.event.error, Cancelled)


async def test_one_follower_is_enough_to_go_on(desk: Desk, server: ModelServer) -> None:
    hold = asyncio.Event()
    server.say(Reply(ANSWER, hold=hold))
    job = await start(desk, thread=await desk.new_thread())
    other = asyncio.create_task(followed(desk, job.thread_id))
    await server.asked.wait()
    await first(job, Status)
    hold.set()
    assert isinstance((await other)[-1].event, Finished)


async def test_code_is_interrupted_and_its_variables_live_on(desk: Desk, server: ModelServer) -> None:
    server.say(
        "<Code>\nx = 1\nprint(x)\n</Code>",
        "<Code>\nimport time\ntime.sleep(600)\n</Code>",
        "<Code>\nprint(x + 1)\n</Code>",
        ANSWER,
    )
    thread = await desk.new_thread()
    job = await start(desk, thread=thread)
    async with aclosing(job.events()) as events:
        async for numbered in events:
            if isinstance(numbered.event, Code) and numbered.event.block == 2:
                break
    await job.wait()
    answer = await desk.ask("Go on?", thread=thread)
    [executed] = answer.of(Execute)
    assert executed.output.strip() == "2"
    assert "time.sleep(600)" in str(server.messages(2))


async def test_a_job_in_the_background_needs_no_follower(desk: Desk, server: ModelServer) -> None:
    hold = asyncio.Event()
    server.say(Reply(ANSWER, hold=hold))
    job = await start(desk, thread=await desk.new_thread(), background=True)
    await first(job, Status)
    hold.set()
    await job.wait()
    assert isinstance((await followed(desk, job.thread_id))[-1].event, Finished)


async def test_cancel_ends_what_runs_and_what_waits(desk: Desk, server: ModelServer) -> None:
    server.say(Reply("<Analyze>endless", hang_after=1))
    thread = await desk.new_thread()
    jobs = [await start(desk, question, thread=thread, background=True) for question in ("First?", "Second?")]
    await server.asked.wait()
    assert await desk.analyses.cancel(ADA, thread) is True
    assert [job.done for job in jobs] == [True, True]
    assert len(server.requests) == 1
    ends = [n for n in await followed(desk, thread) if isinstance(n.event, Failed)]
    assert {n.analysis_id for n in ends} == {job.id for job in jobs}
    assert await desk.analyses.cancel(ADA, thread) is False


async def test_threads_are_private(desk: Desk, server: ModelServer) -> None:
    server.say(ANSWER)
    answer = await desk.ask(thread=await desk.new_thread())
    with pytest.raises(NotFound):
        await desk.ask(thread=answer.thread_id, by=BOB)
    with pytest.raises(NotFound):
        [n async for n in desk.analyses.follow(BOB, answer.thread_id)]
    with pytest.raises(NotFound):
        await desk.analyses.cancel(BOB, answer.thread_id)


async def test_a_request_without_a_thread_closes_its_kernel_and_keeps_its_files(
    desk: Desk, server: ModelServer
) -> None:
    block = "<Code>\nopen('a.txt', 'w').write('a')\n</Code>"
    server.say(block, ANSWER)
    answer = await desk.ask()
    workspace = desk.threads.workspace(answer.thread_id)
    assert [f.name for f in workspace.list()] == ["a.txt"]
    async with desk.kernels.lease(answer.thread_id, workspace, user="ada") as lease:
        assert lease.fresh
    assert (await desk.threads.get(ADA, answer.thread_id)).id == answer.thread_id


async def test_a_restart_keeps_messages_and_events_and_goes_on_counting(
    tmp_path: Path, server: ModelServer, sandbox: Sandbox
) -> None:
    server.say(ANSWER, ANSWER)
    async with open_desk(tmp_path, server, sandbox) as before:
        one = await before.ask("First?", thread=await before.new_thread())
    async with open_desk(tmp_path, server, sandbox) as after:
        assert await followed(after, one.thread_id) == one.numbered
        two = await after.ask("Second?", thread=one.thread_id)
        assert two.numbered[0].n == one.numbered[-1].n + 1
        assert [m.content for m in await after.threads.messages(ADA, one.thread_id)] == [
            "First?",
            ANSWER,
            "Second?",
            ANSWER,
        ]
    assert [m["content"] for m in server.messages(1)] == ["First?", ANSWER, "# Instruction\nSecond?"]


async def test_a_stop_of_the_server_is_told(tmp_path: Path, server: ModelServer, sandbox: Sandbox) -> None:
    server.say(Reply("<Analyze>endless", hang_after=1))
    async with open_desk(tmp_path, server, sandbox) as before:
        job = await start(before, thread=await before.new_thread(), background=True)
        await server.asked.wait()
    async with open_desk(tmp_path, server, sandbox) as after:
        [*_, last] = await followed(after, job.thread_id)
        analysis = await after.store.threads.get_analysis(job.id)
    assert isinstance(last.event, Failed)
    assert "ask again" in last.event.error.message
    assert analysis is not None
    assert analysis.status == "interrupted"


async def test_a_crash_is_told_at_the_next_start(
    tmp_path: Path, server: ModelServer, sandbox: Sandbox
) -> None:
    """What a crash leaves behind: an analysis under way, some of its events."""
    async with open_desk(tmp_path, server, sandbox) as before:
        thread = await before.new_thread()
        for name in ("one", "two"):
            await before.store.threads.add_analysis(AnalysisRecord(name, thread, "m", "running", 1))
        await before.store.threads.add_events([EventRecord(thread, 2, "one", "text", {"texts": ["a", "b"]})])
    async with open_desk(tmp_path, server, sandbox) as after:
        events = await followed(after, thread)
        assert [(n.n, n.analysis_id, type(n.event)) for n in events] == [
            (1, "one", Text),
            (2, "one", Text),
            (3, "one", Failed),
            (4, "two", Failed),
        ]
        # Whoever saw more than was stored is told at least how it ended.
        assert [n.n for n in await followed(after, thread, after=99)] == [4]
        server.say(ANSWER)
        assert (await after.ask(thread=thread)).numbered[0].n == 5


async def test_a_failed_question_can_be_asked_again(desk: Desk, server: ModelServer) -> None:
    server.say(Reply(status=401), ANSWER)
    thread = await desk.new_thread()
    assert (await desk.ask(thread=thread)).error.code == "model_unavailable"
    assert (await desk.ask(thread=thread)).text == ANSWER
    assert [m["content"] for m in server.messages(1)] == ["# Instruction\nWhy?"]
