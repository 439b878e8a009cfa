"""How the database behaves: many callers at once, cancelled callers, a restart, a full file."""

import asyncio
import os
import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from deepanalyze.errors import InternalError
from deepanalyze.store import Store, open_store
from tests.support import records


async def test_sixty_callers_at_once_all_succeed(store: Store) -> None:
    async def caller(n: int) -> None:
        thread_id = f"thread-{n}"
        await store.threads.add_thread(records.thread(thread_id))
        await store.threads.add_analysis(records.analysis(f"chatcmpl-{n}", thread_id))
        for k in range(1, 6):
            await store.threads.add_events([records.event(thread_id, k)])
            await store.threads.touch_thread(thread_id, 200, 250)
            assert await store.threads.last_event(thread_id) == k
        await store.threads.finish_analysis(
            f"chatcmpl-{n}", "completed", 300, None, [records.message(thread_id)], []
        )

    await asyncio.gather(*(caller(n) for n in range(60)))
    assert len([t.id for t in await store.threads.all_threads()]) == 60


async def test_a_cancelled_caller_leaves_the_database_usable(store: Store) -> None:
    for round_ in range(20):
        writes = [
            asyncio.create_task(store.threads.add_thread(records.thread(f"thread-{round_}-{n}")))
            for n in range(5)
        ]
        for _ in range(round_):
            await asyncio.sleep(0)
        for task in writes:
            task.cancel()
        await asyncio.gather(*writes, return_exceptions=True)
        await store.threads.add_thread(records.thread(f"after-{round_}"))
    ids = {t.id for t in await store.threads.all_threads()}
    assert {f"after-{n}" for n in range(20)} <= ids


async def test_everything_is_there_after_a_restart(database_path: Path) -> None:
    async with open_store(database_path) as store:
        await store.sources.add(records.source())
        await store.accounts.add_user(records.user())
        await store.files.add_file(records.uploaded())
        await store.threads.add_thread(records.thread())
    async with open_store(database_path) as store:
        assert await store.accounts.list_users() == [records.user()]
        assert await store.sources.list() == [records.source()]
        assert await store.files.get_file("file-1") == records.uploaded()
        assert await store.threads.get_thread("thread-1") == records.thread()


async def test_it_is_durable_and_private(store: Store, database_path: Path) -> None:
    pragmas = {}
    for name in ("journal_mode", "synchronous", "foreign_keys"):
        pragmas[name] = await store.database.read(
            lambda c, name=name: c.execute(text(f"PRAGMA {name}")).scalar_one()
        )
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    await store.accounts.add_user(records.user())
    modes = {p.name: stat.S_IMODE(os.stat(p).st_mode) for p in database_path.parent.glob("store.sqlite*")}
    assert modes == dict.fromkeys(("store.sqlite", "store.sqlite-wal", "store.sqlite-shm"), 0o600)


async def test_a_full_database_is_told_and_reading_goes_on(store: Store) -> None:
    await store.threads.add_thread(records.thread())
    for _ in range(5):  # of every pooled connection, because the limit is one of a connection
        await store.database.write(lambda c: c.execute(text("PRAGMA max_page_count = 1")))
    with pytest.raises(InternalError, match="the disk is full; nothing was changed"):
        await store.threads.add_messages([records.message(content="x" * 1_000_000)])
    assert await store.threads.list_messages("thread-1") == []
    await store.ping()
