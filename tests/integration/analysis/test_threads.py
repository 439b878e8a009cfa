"""Threads: private, listed in pages, gone after their time with everything that belongs to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepanalyze.analysis.events import Text
from deepanalyze.errors import NotFound
from tests.support.desk import ADA, BOB, Desk
from tests.support.model_server import ModelServer, Reply

HOUR = 3600


async def test_a_thread_is_its_owners_alone(desk: Desk) -> None:
    thread = await desk.threads.create(ADA)
    assert (await desk.threads.get(ADA, thread.id)).owner_id == ADA.user_id
    for forbidden in (desk.threads.get, desk.threads.delete, desk.threads.messages):
        with pytest.raises(NotFound):
            await forbidden(BOB, thread.id)
    assert (await desk.threads.list(BOB)).items == []


async def test_threads_are_listed_newest_first_in_pages(desk: Desk) -> None:
    made = []
    for _ in range(5):
        made.append((await desk.threads.create(ADA)).id)
        desk.clock.now += 1
    first = await desk.threads.list(ADA, limit=3)
    second = await desk.threads.list(ADA, limit=3, cursor=first.next_cursor)
    assert [t.id for t in (*first.items, *second.items)] == made[::-1]
    assert (first.has_more, second.has_more) == (True, False)


async def test_use_puts_off_expiry(desk: Desk) -> None:
    thread = await desk.threads.create(ADA)
    desk.clock.now += 11 * HOUR
    assert (await desk.threads.get(ADA, thread.id)).expires_at == int(desk.clock.now) + 12 * HOUR
    desk.clock.now += 11 * HOUR
    assert await desk.threads.expire() == []
    desk.clock.now += HOUR
    with pytest.raises(NotFound):
        await desk.threads.get(ADA, thread.id)
    assert await desk.threads.expire() == [thread.id]


async def test_unused_threads_can_be_cleaned_up_early(desk: Desk) -> None:
    old = await desk.threads.create(ADA)
    desk.clock.now += 3 * HOUR
    new = await desk.threads.create(ADA)
    assert await desk.threads.expire(unused_hours=2) == [old.id]
    assert (await desk.threads.get(ADA, new.id)).id == new.id


@pytest.mark.requirement("10.5")
async def test_expiry_removes_files_and_ends_kernel_and_connections(
    desk: Desk, server: ModelServer, tmp_path: Path
) -> None:
    server.say("<Code>\nopen('big.tmp', 'w').write('x')\n</Code>", Reply("<Analyze>endless", hang_after=2))
    thread = await desk.new_thread()
    workspace = desk.threads.workspace(thread)
    (workspace.staging / "left-over.part").write_text("half a download")
    job = await desk.analyses.start(desk.request(thread=thread, background=True))
    async for numbered in job.events():
        if isinstance(numbered.event, Text) and "endless" in numbered.event.text:
            break
    async with desk.kernels.lease(thread, workspace, user="ada") as lease:
        kernel = lease.kernel
    desk.clock.now += 13 * HOUR
    assert await desk.threads.expire() == [thread]
    await server.left.wait()
    assert job.done
    assert not kernel.alive
    assert list((tmp_path / "threads").iterdir()) == []
    assert await desk.store.threads.list_messages(thread) == []
    assert await desk.store.threads.list_events(thread) == []


async def test_what_a_crash_left_is_removed_at_the_start(desk: Desk, tmp_path: Path) -> None:
    kept = await desk.new_thread()
    orphan = tmp_path / "threads" / "thread-gone"
    (orphan / "work").mkdir(parents=True)
    (orphan / "work" / "a.csv").write_text("a")
    workspace = desk.threads.workspace(kept)
    (workspace.root / "kept.csv").write_text("a")
    (workspace.staging / "fetch-1").mkdir()
    (workspace.staging / "fetch-1" / "half.csv").write_text("a")
    (workspace.staging / "note-1").symlink_to(workspace.root)
    assert await desk.threads.take_stock() == 1
    assert [p.name for p in (tmp_path / "threads").iterdir()] == [kept]
    assert list(workspace.staging.iterdir()) == []
    assert [file.name for file in workspace.list()] == ["kept.csv"]


async def test_stats_count_threads_and_bytes(desk: Desk) -> None:
    thread = await desk.new_thread()
    (desk.threads.workspace(thread).root / "a.bin").write_bytes(b"x" * 1000)
    assert (await desk.threads.stats()).as_dict() == {
        "total_threads": 1,
        "recent_threads": 1,
        "old_threads": 0,
        "expired_threads": 0,
        "workspace_bytes": 1000,
    }
    desk.clock.now += 2 * HOUR
    stats = await desk.threads.stats()
    assert (stats.recent_threads, stats.old_threads, stats.expired_threads) == (0, 1, 0)
    desk.clock.now += 11 * HOUR
    stats = await desk.threads.stats()
    assert (stats.recent_threads, stats.old_threads, stats.expired_threads) == (0, 0, 1)
