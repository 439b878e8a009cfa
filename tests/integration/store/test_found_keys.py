"""A key is looked up in memory, and yet a change of it counts from when it is answered."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import Connection, text

from deepanalyze.accounts import ApiKey, Grant, User
from deepanalyze.errors import NotFound
from deepanalyze.store import Store
from tests.support import records

DIGEST = records.api_key().digest

Found = tuple[ApiKey, User] | None


@pytest.fixture(autouse=True)
async def looked_up(store: Store) -> None:
    await store.sources.add(records.source())
    await store.accounts.add_user(records.user(), records.api_key())
    await store.accounts.find_key(DIGEST)


async def test_a_key_that_was_found_is_not_read_again(store: Store) -> None:
    await store.database.write(lambda c: c.execute(text("DELETE FROM api_keys")))  # as nothing here does it
    assert await store.accounts.find_key(DIGEST) == (records.api_key(), records.user())


def _revoked(found: Found) -> bool:
    return found is not None and found[0].revoked_at == 500


def _promoted(found: Found) -> bool:
    return found is not None and found[1].role == "admin"


def _regranted(found: Found) -> bool:
    return found is not None and found[1].grants == (Grant("ds-9"),)


def _used(found: Found) -> bool:
    return found is not None and found[0].last_used_at == 777


def _without_its_source(found: Found) -> bool:
    return found is not None and found[0].sources == ("ds-2",) and found[1].grants == (Grant("*"),)


def _without_the_old_narrowing(found: Found) -> bool:
    return found is not None and found[0].sources == ("ds-1",)


def _gone(found: Found) -> bool:
    return found is None


@pytest.mark.parametrize(
    ("change", "is_seen"),
    [
        (lambda store: store.accounts.revoke_key("key-1", 500), _revoked),
        (lambda store: store.accounts.update_user("user-1", role="admin"), _promoted),
        (lambda store: store.accounts.update_user("user-1", grants=[Grant("ds-9")]), _regranted),
        (lambda store: store.accounts.touch_key("key-1", 777), _used),
        (lambda store: store.accounts.delete_user("user-1"), _gone),
        (lambda store: store.sources.delete("ds-1"), _without_its_source),
        (
            lambda store: store.sources.add(records.source("ds-2", "other")),
            lambda found: "ds-2" not in found[0].sources,
        ),
    ],
)
@pytest.mark.parametrize("waits", [True, False], ids=["answered", "caller-gone"])
async def test_each_change_counts_from_then_on(
    store: Store, change: Callable[[Store], Awaitable[object]], is_seen: Callable[[Found], bool], waits: bool
) -> None:
    changing = asyncio.ensure_future(change(store))
    if waits:
        await changing
    else:
        await asyncio.sleep(0)
        changing.cancel()
        await store.threads.all_threads()
        await store.database.write(lambda c: None)  # after the one before
    assert is_seen(await store.accounts.find_key(DIGEST))


async def test_a_refused_change_leaves_a_key_as_it_is(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.accounts.update_user("user-2", role="admin")
    assert await store.accounts.find_key(DIGEST) == (records.api_key(), records.user())


async def test_what_was_read_before_a_change_is_not_kept_after_it(store: Store) -> None:
    await store.accounts.touch_key("key-1", 777)  # so that it is read anew
    has_read, may_answer = threading.Event(), threading.Event()
    read = store.database.read

    async def slow_read(work: Callable[[Connection], Found]) -> Found:
        def slow(connection: Connection) -> Found:
            found = work(connection)
            has_read.set()
            assert may_answer.wait(60)
            return found

        return await read(slow)

    store.database.read = slow_read  # type: ignore[method-assign,assignment]
    finding = asyncio.create_task(store.accounts.find_key(DIGEST))
    assert await asyncio.to_thread(has_read.wait, 60)
    store.database.read = read  # type: ignore[method-assign]
    await store.accounts.revoke_key("key-1", 500)
    may_answer.set()
    assert not _revoked(await finding)
    assert _revoked(await store.accounts.find_key(DIGEST))
