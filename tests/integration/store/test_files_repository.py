import dataclasses

import pytest

from deepanalyze.errors import AlreadyExists
from deepanalyze.store import Store
from tests.support import records


async def test_a_file_comes_back_as_it_was_stored(store: Store) -> None:
    await store.files.add_file(records.uploaded())
    assert await store.files.get_file("file-1") == records.uploaded()
    assert await store.files.get_file("file-2") is None
    assert [file.id for file in await store.files.all_files()] == ["file-1"]
    with pytest.raises(AlreadyExists, match="file-1"):
        await store.files.add_file(records.uploaded())


async def test_files_are_listed_newest_first_by_owner_and_purpose(store: Store) -> None:
    made = [records.uploaded(f"file-{n}", at=100 + n) for n in range(3)]
    vision = dataclasses.replace(records.uploaded("file-v", at=90), purpose="vision")
    for file in [*made, vision, records.uploaded("file-x", owner_id="user-2")]:
        await store.files.add_file(file)
    assert await store.files.list_files("user-1", limit=10) == [*made[::-1], vision]
    assert await store.files.list_files("user-1", purpose="vision", limit=10) == [vision]
    assert await store.files.list_files("user-1", limit=10, before=(101, "file-1")) == [made[0], vision]


async def test_a_deleted_file_is_gone(store: Store) -> None:
    await store.files.add_file(records.uploaded())
    assert await store.files.delete_file("file-1")
    assert not await store.files.delete_file("file-1")
    assert [file.id for file in await store.files.all_files()] == []
