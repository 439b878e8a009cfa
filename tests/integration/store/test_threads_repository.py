import dataclasses

import pytest

from deepanalyze.analysis.records import ThreadRepository
from deepanalyze.errors import AlreadyExists, NotFound
from deepanalyze.store import Store
from tests.support import records


@pytest.fixture
async def threads(store: Store) -> ThreadRepository:
    await store.threads.add_thread(records.thread())
    return store.threads


async def test_a_thread_comes_back_as_it_was_stored(threads: ThreadRepository) -> None:
    assert await threads.get_thread("thread-1") == records.thread()
    assert await threads.get_thread("thread-2") is None
    with pytest.raises(AlreadyExists, match="thread-1"):
        await threads.add_thread(records.thread())


async def test_threads_are_listed_newest_first_in_pages(store: Store) -> None:
    made = [records.thread(f"thread-{n}", at=100 + n // 2) for n in range(7)]  # pairs of the same second
    for thread in [*made, records.thread("thread-x", owner_id="user-2")]:
        await store.threads.add_thread(thread)
    seen = []
    before = None
    while page := await store.threads.list_threads("user-1", limit=3, before=before):
        seen += page
        before = (page[-1].created_at, page[-1].id)
    assert seen == made[::-1]


async def test_touching_puts_the_expiry_off(threads: ThreadRepository) -> None:
    assert [t.id for t in await threads.expired_threads(150)] == ["thread-1"]
    await threads.touch_thread("thread-1", 140, 190)
    assert await threads.expired_threads(150) == []
    touched = await threads.get_thread("thread-1")
    assert touched == dataclasses.replace(records.thread(), last_accessed_at=140, expires_at=190)


async def test_a_deleted_thread_takes_everything_with_it(threads: ThreadRepository) -> None:
    await threads.add_analysis(records.analysis())
    await threads.add_messages([records.message()])
    await threads.add_events([records.event()])
    assert [t.id for t in await threads.all_threads()] == ["thread-1"]
    assert await threads.delete_thread("thread-1")
    assert not await threads.delete_thread("thread-1")
    assert [t.id for t in await threads.all_threads()] == []
    assert await threads.get_analysis("chatcmpl-1") is None
    assert await threads.list_messages("thread-1") == []
    assert await threads.list_events("thread-1") == []


async def test_messages_keep_their_order_and_content(threads: ThreadRepository) -> None:
    parts = [{"type": "text", "text": "hi ☃"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    first, second = records.message(), records.message(seq=2, content=parts)
    await threads.add_messages([second, first])
    assert await threads.list_messages("thread-1") == [first, second]
    with pytest.raises(AlreadyExists):
        await threads.add_messages([records.message(seq=3), second])
    assert len(await threads.list_messages("thread-1")) == 2


async def test_a_message_needs_its_thread(threads: ThreadRepository) -> None:
    with pytest.raises(NotFound):
        await threads.add_messages([records.message("thread-9")])


async def test_text_that_is_no_valid_unicode_is_kept(threads: ThreadRepository) -> None:
    message = records.message(content="broken \ud800 \x00 surrogate")
    await threads.add_messages([message])
    assert await threads.list_messages("thread-1") == [message]


async def test_analyses_of_a_thread_are_listed_oldest_first(threads: ThreadRepository) -> None:
    first, second = records.analysis(), records.analysis("chatcmpl-0", at=200)
    await threads.add_analysis(second)
    await threads.add_analysis(first)
    assert await threads.get_analysis("chatcmpl-1") == first
    assert await threads.list_analyses("thread-1") == [first, second]


async def test_events_are_numbered_and_read_from_a_number_on(threads: ThreadRepository) -> None:
    assert await threads.last_event("thread-1") == 0
    events = [records.event(n=n) for n in range(1, 6)]
    await threads.add_events(events)
    assert await threads.last_event("thread-1") == 5
    assert await threads.list_events("thread-1", after=2) == events[2:]
    assert await threads.list_events("thread-1", after=1, limit=2) == events[1:3]
    await threads.add_events([])


async def test_an_analysis_is_finished_in_one_step(threads: ThreadRepository) -> None:
    await threads.add_analysis(records.analysis())
    error = {"code": "busy", "message": "no kernel", "param": None, "details": []}
    await threads.finish_analysis(
        "chatcmpl-1", "failed", 300, error, messages=[records.message()], events=[records.event()]
    )
    finished = dataclasses.replace(records.analysis(), status="failed", finished_at=300, error=error)
    assert await threads.get_analysis("chatcmpl-1") == finished
    assert await threads.list_messages("thread-1") == [records.message()]
    assert await threads.list_events("thread-1") == [records.event()]


async def test_a_finish_that_fails_changes_nothing(threads: ThreadRepository) -> None:
    await threads.add_analysis(records.analysis())
    await threads.add_events([records.event()])
    with pytest.raises(AlreadyExists):
        await threads.finish_analysis(
            "chatcmpl-1", "completed", 300, None, [records.message()], [records.event()]
        )
    assert await threads.get_analysis("chatcmpl-1") == records.analysis()
    assert await threads.list_messages("thread-1") == []
    with pytest.raises(NotFound):
        await threads.finish_analysis("chatcmpl-9", "completed", 300, None, [], [])


async def test_what_a_crash_left_running_becomes_interrupted(threads: ThreadRepository) -> None:
    queued = dataclasses.replace(records.analysis("chatcmpl-2"), status="queued")
    done = dataclasses.replace(records.analysis("chatcmpl-3"), status="completed", finished_at=150)
    for analysis in (records.analysis(), queued, done):
        await threads.add_analysis(analysis)
    assert await threads.interrupt_unfinished(400) == 2
    assert await threads.interrupt_unfinished(500) == 0
    statuses = [(a.status, a.finished_at) for a in await threads.list_analyses("thread-1")]
    assert statuses == [("interrupted", 400), ("interrupted", 400), ("completed", 150)]
