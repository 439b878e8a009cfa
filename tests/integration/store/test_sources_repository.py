import asyncio
import dataclasses

import pytest

from deepanalyze.accounts import Grant
from deepanalyze.datasources.repository import ConfigRepository
from deepanalyze.errors import AlreadyExists, NotFound, Stale
from deepanalyze.store import Store
from tests.support import records


@pytest.fixture
def sources(store: Store) -> ConfigRepository:
    return store.sources


async def test_a_source_comes_back_as_it_was_stored(sources: ConfigRepository) -> None:
    source = records.source()
    await sources.add(source)
    assert await sources.list() == [source]


@pytest.mark.parametrize(
    ("id", "name", "param"),
    [
        ("ds-2", "sales", "name"),
        ("ds-1", "other", "id"),
        ("sales", "other", "id"),  # the id is another's name
        ("ds-2", "ds-1", "name"),  # the name is another's id
    ],
)
async def test_ids_and_names_share_one_space(
    sources: ConfigRepository, id: str, name: str, param: str
) -> None:
    await sources.add(records.source())
    with pytest.raises(AlreadyExists) as raised:
        await sources.add(records.source(id, name))
    assert raised.value.param == param
    assert len(await sources.list()) == 1


async def test_of_many_at_once_exactly_one_gets_the_name(sources: ConfigRepository) -> None:
    attempts = [sources.add(records.source(f"ds-{n}", "sales")) for n in range(20)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sorted(type(r).__name__ for r in results) == ["AlreadyExists"] * 19 + ["NoneType"]
    assert len(await sources.list()) == 1


async def test_an_update_needs_the_version_that_was_read(sources: ConfigRepository) -> None:
    await sources.add(records.source())
    renamed = records.source(name="sales-eu", version=2)
    await sources.update(renamed, expected_version=1)
    assert await sources.list() == [renamed]
    with pytest.raises(Stale, match="version 2, not 1"):
        await sources.update(records.source(version=2), expected_version=1)
    with pytest.raises(NotFound):
        await sources.update(records.source("ds-9", "nine"), expected_version=1)


async def test_an_update_cannot_take_another_sources_name(sources: ConfigRepository) -> None:
    await sources.add(records.source())
    await sources.add(records.source("ds-2", "lake"))
    with pytest.raises(AlreadyExists):
        await sources.update(records.source("ds-2", "sales", version=2), expected_version=1)


async def test_the_status_changes_alone(sources: ConfigRepository) -> None:
    await sources.add(records.source())
    await sources.set_status("ds-1", "error", 999)
    changed = dataclasses.replace(records.source(), status="error", last_tested_at=999)
    assert await sources.list() == [changed]


async def test_a_deleted_source_is_gone(sources: ConfigRepository) -> None:
    await sources.add(records.source())
    assert await sources.delete("ds-1")
    assert not await sources.delete("ds-1")
    assert await sources.list() == []


async def test_grants_and_narrowings_go_with_their_source(store: Store) -> None:
    """In the same transaction, or they would count for the next one with its id."""
    await store.sources.add(records.source("ds-1"))
    await store.accounts.add_user(records.user(), records.api_key())
    await store.accounts.add_key(dataclasses.replace(records.api_key("key-2", digest="e"), sources=("ds-1",)))
    longer = dataclasses.replace(records.user("user-2", "bob"), grants=(Grant("ds-10"), Grant("ds-1")))
    await store.accounts.add_user(longer)
    await store.sources.delete("ds-1")
    users = await store.accounts.list_users()
    assert [user.grants for user in users] == [(Grant("*"),), (Grant("ds-10"),)]
    assert [key.sources for key in await store.accounts.list_keys()] == [("ds-2",), ()]


async def test_what_was_granted_too_late_does_not_count_for_the_next_source(store: Store) -> None:
    await store.accounts.add_user(records.user())  # as by a request that was under way
    await store.sources.add(records.source("ds-1"))
    assert (await store.accounts.list_users())[0].grants == (Grant("*"),)
