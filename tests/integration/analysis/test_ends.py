"""What is under way when its thread, its user or its asker goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deepanalyze.accounts import Belongings, User
from deepanalyze.analysis.events import Execute, Failed
from deepanalyze.analysis.fetching import fetch_into_thread
from deepanalyze.datasources.references import DataReference
from deepanalyze.errors import Cancelled, InvalidApiKey
from tests.support import records
from tests.support.desk import ADA, Desk
from tests.support.model_server import ModelServer, Reply
from tests.support.toysource import PASSWORD, ToyConnector


async def test_an_analysis_cancelled_before_its_first_step_ends_as_any_other(
    desk: Desk, server: ModelServer
) -> None:
    job = await desk.analyses.start(desk.request("Why?", thread=await desk.new_thread()))
    assert job.cancel()
    async with asyncio.timeout(30):
        events = [numbered.event async for numbered in job.events()]
        await job.wait()
    assert isinstance(events[-1], Failed)
    assert isinstance(events[-1].error, Cancelled)
    assert desk.analyses.status(job.thread_id) == "idle"
    assert server.requests == []


async def test_deleting_a_thread_ends_its_fetches(desk: Desk) -> None:
    desk.registry.register_connector_class("toy", ToyConnector)
    config = {"toys": ["a.csv"], "password": PASSWORD}
    await desk.sources.create(ADA, type="toy", name="box", config=config)
    connector = await desk.registry.get_connector(desk.sources.get(ADA, "box").id)
    assert isinstance(connector, ToyConnector)
    connector.meeting = asyncio.Barrier(2)  # nobody else comes
    thread = await desk.new_thread()
    reference = DataReference("box", path="a.csv")
    fetching = asyncio.create_task(fetch_into_thread(desk.sources, desk.threads, ADA, reference, thread))
    async with asyncio.timeout(30):
        while not connector.downloading:  # noqa: ASYNC110 - a download's begin is no event
            await asyncio.sleep(0)
        await desk.threads.delete(ADA, thread)
        with pytest.raises(Cancelled, match="the thread was deleted"):
            await fetching
    assert not connector.downloading


async def test_what_is_used_while_others_are_removed_does_not_expire(desk: Desk) -> None:
    unused, late = [await desk.new_thread() for _ in range(2)]

    async def use_another(thread_id: str) -> None:
        desk.clock.now += 1
        await desk.threads.get(ADA, late if thread_id == unused else unused)

    desk.threads.on_delete.append(use_another)
    desk.clock.now += 10
    assert len(await desk.threads.expire(unused_hours=0)) == 1


async def test_a_thread_in_which_something_happens_is_used(desk: Desk, server: ModelServer) -> None:
    hold = asyncio.Event()
    server.say("<Code>\n1\n</Code>", Reply("<Answer>\nSo.\n</Answer>", hold=hold))
    thread = await desk.new_thread()
    job = await desk.analyses.start(desk.request(thread=thread, background=True))
    desk.clock.now += 11 * 60 * 60
    async for numbered in job.events():
        if isinstance(numbered.event, Execute):
            break
    desk.clock.now += 11 * 60 * 60
    assert await desk.threads.expire() == []
    hold.set()
    await job.wait()


async def test_a_thread_whose_maker_went_away_counts(desk: Desk) -> None:
    for steps in range(12):
        making = asyncio.create_task(desk.threads.create(ADA))
        for _ in range(steps):
            await asyncio.sleep(0)
        making.cancel()
        await asyncio.wait([making])
    await desk.new_thread()
    async with asyncio.timeout(30):
        while _being_made():  # noqa: ASYNC110 - nobody waits for them any more
            await asyncio.sleep(0.01)
    threads = await desk.store.threads.all_threads()
    for thread in threads:
        workspace = desk.threads.workspace(thread.id)
        (workspace.root / "a").write_bytes(b"x" * 1000)
        workspace.measure()
    assert desk.usage.taken(ADA.user_id) == 1000 * len(threads)
    assert len(threads) > 1


def _being_made() -> bool:
    return any("Threads._make" in repr(task.get_coro()) for task in asyncio.all_tasks())


async def test_what_a_deleted_user_still_asks_for_is_not_made(desk: Desk, tmp_path: Path) -> None:
    accounts = desk.store.accounts
    await accounts.add_user(User("user-0", "root", "admin"))
    await accounts.add_user(ADA.user)
    await accounts.delete_user(ADA.user_id)
    source = replace(records.source(), shared=False, created_by=ADA.user_id)
    for making in (
        desk.threads.create(ADA),
        desk.files.create(ADA, "a.csv", "assistants", _pieces(b"a")),
        desk.store.sources.add(source),
    ):
        with pytest.raises(InvalidApiKey, match="was deleted"):
            await making
    assert await accounts.belongings(ADA.user_id) == Belongings()
    assert [path for name in ("threads", "files") for path in (tmp_path / name).iterdir()] == []


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
