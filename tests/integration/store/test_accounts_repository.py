import asyncio
import dataclasses

import pytest

from deepanalyze.accounts import AccountRepository
from deepanalyze.errors import AlreadyExists, NotFound, PermissionDenied
from deepanalyze.store import Store
from tests.support import records


@pytest.fixture
def accounts(store: Store) -> AccountRepository:
    return store.accounts


async def test_a_user_comes_back_as_it_was_stored(accounts: AccountRepository) -> None:
    user = records.user()
    await accounts.add_user(user)
    assert await accounts.get_user(user.id) == user
    assert await accounts.find_user("ada") == user
    assert await accounts.get_user("user-2") is None
    assert await accounts.find_user("bob") is None


async def test_users_are_listed_in_the_order_they_came(accounts: AccountRepository) -> None:
    later = dataclasses.replace(records.user("user-0", "bob"), created_at=200)
    await accounts.add_user(later)
    await accounts.add_user(records.user())
    assert [user.name for user in await accounts.list_users()] == ["ada", "bob"]


@pytest.mark.parametrize("other", [records.user("user-2", "ada"), records.user("user-1", "bob")])
async def test_ids_and_names_of_users_are_unique(accounts: AccountRepository, other: object) -> None:
    await accounts.add_user(records.user())
    with pytest.raises(AlreadyExists, match="already exists"):
        await accounts.add_user(other)  # type: ignore[arg-type]


async def test_a_key_comes_back_as_it_was_stored(accounts: AccountRepository) -> None:
    await accounts.add_user(records.user())
    await accounts.add_user(records.user("user-2", "bob"))
    mine, other = records.api_key(), records.api_key("key-2", "user-2", "e" * 64)
    await accounts.add_key(mine)
    await accounts.add_key(other)
    assert await accounts.find_key("d" * 64) == (mine, records.user())
    assert await accounts.find_key("f" * 64) is None
    assert await accounts.list_keys() == [mine, other]
    assert await accounts.list_keys("user-2") == [other]


async def test_a_key_needs_its_user_and_a_digest_of_its_own(accounts: AccountRepository) -> None:
    with pytest.raises(NotFound):
        await accounts.add_key(records.api_key())
    await accounts.add_user(records.user())
    await accounts.add_key(records.api_key())
    with pytest.raises(AlreadyExists):
        await accounts.add_key(records.api_key("key-2"))


async def test_a_revoked_key_keeps_its_first_time(accounts: AccountRepository) -> None:
    await accounts.add_user(records.user())
    await accounts.add_key(records.api_key())
    assert await accounts.revoke_key("key-1", 500)
    assert await accounts.revoke_key("key-1", 600)
    assert not await accounts.revoke_key("key-2", 500)
    assert [key.revoked_at for key in await accounts.list_keys()] == [500]


async def test_the_last_use_of_a_key_is_kept(accounts: AccountRepository) -> None:
    await accounts.add_user(records.user())
    await accounts.add_key(records.api_key())
    await accounts.touch_key("key-1", 777)
    assert [key.last_used_at for key in await accounts.list_keys()] == [777]


async def test_of_administrators_that_leave_at_once_one_stays(accounts: AccountRepository) -> None:
    for number in range(4):
        await accounts.add_user(
            dataclasses.replace(records.user(f"user-{number}", f"u{number}"), role="admin")
        )
    leaving = (
        accounts.update_user("user-0", role="analyst"),
        accounts.delete_user("user-1"),
        accounts.update_user("user-2", role="analyst"),
        accounts.delete_user("user-3"),
    )
    ended = await asyncio.gather(*leaving, return_exceptions=True)
    assert sum(isinstance(result, PermissionDenied) for result in ended) == 1
    assert [user.role for user in await accounts.list_users()].count("admin") == 1


async def test_a_deleted_user_takes_only_its_own(store: Store) -> None:
    for user, letter in (("user-1", "a"), ("user-2", "b")):
        await store.accounts.add_user(records.user(user, letter))
        await store.threads.add_thread(dataclasses.replace(records.thread(f"thread-{letter}"), owner_id=user))
    before = await store.accounts.belongings("user-1")
    assert before.threads == ("thread-a",)
    assert await store.accounts.delete_user("user-1") == before
    assert [t.id for t in await store.threads.all_threads()] == ["thread-b"]
    with pytest.raises(NotFound):
        await store.accounts.delete_user("user-1")
    with pytest.raises(NotFound):
        await store.accounts.update_user("user-1", role="admin")


async def test_a_key_that_cannot_be_stored_leaves_no_user(accounts: AccountRepository) -> None:
    await accounts.add_user(records.user(), records.api_key())
    clash = dataclasses.replace(records.api_key(), user_id="user-2")
    with pytest.raises(AlreadyExists):
        await accounts.add_user(records.user("user-2", "bob"), clash)
    assert await accounts.get_user("user-2") is None
    assert await accounts.get_key(records.api_key().id) == records.api_key()
    assert await accounts.get_key("key-9") is None
