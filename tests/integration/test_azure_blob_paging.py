"""Pages of a container's listing: the service's own, so that the millionth costs what the first does."""

from __future__ import annotations

import pytest

from deepanalyze.datasources import DataItem, InvalidRequest
from deepanalyze.datasources.browse import browse
from deepanalyze.datasources.connectors.azure_blob import AzureBlobConnector
from tests.support.blob_proxy import blob_proxy
from tests.support.blob_sources import connector, key_config, put, sas_config
from tests.support.services import BlobContainer

NAMES = [f"{folder}/{n:03}.csv" for folder in ("a", "b//c", "d ☃") for n in range(30)]
TOP = [f"top{n:02}.csv" for n in range(20)]


async def all_pages(
    blobs: AzureBlobConnector, path: str | None = None, *, recursive: bool, limit: int
) -> list[list[DataItem]]:
    pages, cursor = [], None
    while True:
        page = await browse(blobs, path, recursive=recursive, limit=limit, cursor=cursor)
        pages.append(list(page.items))
        cursor = page.next_cursor
        if cursor is None:
            return pages


@pytest.mark.requirement("8.1")
@pytest.mark.parametrize(
    ("path", "limit"),
    [(None, 23), (None, 1000), ("a", 7), ("a/", 7), ("b/", 1), ("b//", 7), ("top", 7), ("nothing", 7)],
)
@pytest.mark.parametrize("recursive", [True, False])
async def test_pages_together_are_the_whole_listing(
    container: BlobContainer, path: str | None, recursive: bool, limit: int
) -> None:
    put(container, dict.fromkeys([*NAMES, *TOP], b"x"))
    async with connector(key_config(container)) as blobs:
        whole = [item async for item in blobs.iter_items(path, recursive=recursive)]
        pages = await all_pages(blobs, path, recursive=recursive, limit=limit)
    assert sorted(item.path for page in pages for item in page) == sorted(item.path for item in whole)
    assert all(len(page) <= limit for page in pages)
    assert all(pages[:-1])
    if path != "nothing":
        assert whole


async def test_what_comes_and_goes_meanwhile_disturbs_no_other(container: BlobContainer) -> None:
    put(container, dict.fromkeys(NAMES, b"x"))
    async with connector(key_config(container)) as blobs:
        first = await browse(blobs, recursive=True, limit=40)
        container.client.delete_blob(first.items[-1].path)
        put(container, {"a/000-new.csv": b"x", "zzz.csv": b"x"})
        rest, cursor = [], first.next_cursor
        while cursor is not None:
            page = await browse(blobs, recursive=True, limit=40, cursor=cursor)
            rest += page.items
            cursor = page.next_cursor
    seen = [item.path for item in (*first.items, *rest)]
    assert len(seen) == len(set(seen))
    assert set(NAMES) <= set(seen)
    assert "zzz.csv" in seen


async def test_a_page_is_one_request_wherever_it_begins(container: BlobContainer) -> None:
    put(container, dict.fromkeys(NAMES, b"x"))
    async with blob_proxy(container.blob_endpoint) as proxy:
        blobs = connector(sas_config(container, account_url=proxy.endpoint))
        async with blobs:
            cursor, costs = None, []
            for _ in range(4):
                before = proxy.received
                cursor = (await browse(blobs, recursive=True, limit=20, cursor=cursor)).next_cursor
                costs.append(proxy.received - before)
    assert max(costs) < 1.2 * min(costs)


@pytest.mark.parametrize("cursor", ["x", "bm90aGluZw==", "WyJ4IiwgInBhZ2UiXQ=="])
async def test_a_cursor_of_somebody_else_is_refused(container: BlobContainer, cursor: str) -> None:
    async with connector(key_config(container)) as blobs:
        with pytest.raises(InvalidRequest, match="cursor is not one that this server made"):
            await browse(blobs, cursor=cursor)


async def test_a_cursor_is_good_for_its_own_path_only(container: BlobContainer) -> None:
    put(container, dict.fromkeys(NAMES, b"x"))
    async with connector(key_config(container)) as blobs:
        cursor = (await browse(blobs, "a/", limit=5)).next_cursor
        assert (await browse(blobs, "a", limit=5, cursor=cursor)).items
        with pytest.raises(InvalidRequest, match="for this path"):
            await browse(blobs, "d ☃/", limit=5, cursor=cursor)
