"""A change and its record: both are in the store, or neither, whatever happens to the request meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from deepanalyze.accounts import Accounts
from deepanalyze.audit import AuditTrail, Chain, Deed, Entry, Origin, Wanted, acting, bound, changing, note
from deepanalyze.audit.batch import Batch
from deepanalyze.errors import AlreadyExists, InternalError
from deepanalyze.store import Store
from tests.support import records

CHAIN = Chain([b"the key of the tests"])


@pytest.fixture
async def trail(store: Store) -> AsyncIterator[AuditTrail]:
    async with AuditTrail(store.audit, CHAIN) as opened:
        yield opened


async def told(trail: AuditTrail) -> list[tuple[str, str, str | None]]:
    """Oldest first."""
    found = (await trail.find(Wanted(), limit=1_000))[0][::-1]
    assert (await trail.verify()).records == len(found)
    return [(r.entry.action, r.entry.outcome, r.entry.object_id) for r in found]


async def test_they_are_one_transaction_with_what_waits_before_it(store: Store, trail: AuditTrail) -> None:
    origin = Origin(trail)
    with bound(origin):
        note("query")
        with changing("create", "user", "user-1"):
            await store.accounts.add_user(records.user())
        assert await told(trail) == [("query", "ok", None), ("create", "ok", "user-1")]
        await origin.settle()
    assert len(await told(trail)) == 2


async def test_what_fails_is_told_once_and_leaves_nothing(store: Store, trail: AuditTrail) -> None:
    async with acting(trail):
        await Accounts(store.accounts).create_user("ada")
        with pytest.raises(AlreadyExists):
            await Accounts(store.accounts).create_user("ada")
        with pytest.raises(RuntimeError), changing("create", "user", "user-2"):
            raise RuntimeError("before the store was asked")
    found = await told(trail)
    assert [outcome for _, outcome, _ in found] == ["ok", "failed", "failed"]
    assert len(await store.accounts.list_users()) == 1


async def test_a_change_that_fails_after_its_record_is_told_as_both(store: Store, trail: AuditTrail) -> None:
    async def create() -> None:
        with changing("create", "user", "user-1"):
            await store.accounts.add_user(records.user())
            raise RuntimeError("what comes after it")

    async with acting(trail):
        with pytest.raises(RuntimeError):
            await create()
    assert await told(trail) == [("create", "ok", "user-1"), ("create", "failed", "user-1")]


async def test_only_the_transaction_that_makes_the_change_carries_its_record(
    store: Store, trail: AuditTrail
) -> None:
    async with acting(trail):
        await store.accounts.add_user(records.user())  # no change is under way
        with changing("delete", "file", "file-1") as facts:
            await store.accounts.touch_key("key-1", 5)
            assert await told(trail) == []
            facts["n"] = 1
            await store.files.delete_file("file-1")
            await store.files.delete_file("file-2")
    [record] = (await trail.find(Wanted()))[0]
    assert (record.entry.object_id, record.entry.details) == ("file-1", '{"n": 1}')


async def test_a_cancelled_caller_leaves_both(
    store: Store, trail: AuditTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()
    batch = trail.batch

    def begin(own: Callable[[], Entry] | None = None) -> Batch:
        begun.set()
        return batch(own)

    async def create() -> None:
        async with acting(trail):
            with changing("create", "user", "user-1"):
                await store.accounts.add_user(records.user())

    monkeypatch.setattr(trail, "batch", begin)
    task = asyncio.create_task(create())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await trail.append(Origin(trail).entry("verify"))  # after what was begun before it
    assert [user.id for user in await store.accounts.list_users()] == ["user-1"]
    found = await told(trail)
    assert sorted(found[:2]) == [("create", "failed", "user-1"), ("create", "ok", "user-1")]


async def test_without_room_for_the_record_there_is_no_change(
    store: Store, trail: AuditTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise InternalError("the server's store failed: the disk is full; nothing was changed")

    monkeypatch.setattr("deepanalyze.store.changes.append", full)
    async with acting(trail):
        note("query")
        with pytest.raises(InternalError, match="nothing was changed"), changing("create", "user", "user-1"):
            await store.accounts.add_user(records.user())
    assert await store.accounts.list_users() == []
    assert [(action, outcome) for action, outcome, _ in await told(trail)] == [
        ("query", "ok"),
        ("create", "failed"),
    ]


async def test_many_changes_and_reads_at_once_make_one_chain(store: Store, trail: AuditTrail) -> None:
    async def line(k: int) -> None:
        async with acting(trail):
            for n in range(20):
                with Deed("query", source_id="ds-1", change=False).recorded():
                    pass
                with changing("create", "file", f"file-{k}-{n}"):
                    await store.files.add_file(records.uploaded(f"file-{k}-{n}"))
                note("upload", source_id="ds-1", change=n % 5 == 0)

    await asyncio.gather(*(line(k) for k in range(10)))
    await trail.append(Origin(trail).entry("verify"))
    found = await told(trail)
    assert len(found) == 601
    created = [object_id for action, _, object_id in found if action == "create"]
    assert sorted(created) == sorted(file.id for file in await store.files.all_files())  # type: ignore[type-var]
