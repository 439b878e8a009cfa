"""A blob service that lies, breaks off anywhere, is stopped or killed: correct bytes, or an error that says what
happened.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from deepanalyze.datasources import FileTooLarge, Progress, SourceUnavailable
from deepanalyze.datasources.connectors.azure_blob import AzureBlobConnector
from deepanalyze.datasources.fetch import fetch
from deepanalyze.datasources.limits import Limits, PoolLimits, RetryPolicy, SourceDefaults, Timeouts
from deepanalyze.datasources.references import DataReference
from deepanalyze.errors import DeepAnalyzeError, Stale
from tests.support.blob_front import Passing, front
from tests.support.blob_proxy import blob_proxy
from tests.support.blob_sources import QUICK, connector, key_config, left_over, put, sas_config, sha256
from tests.support.services import BlobContainer, run_azurite

MIB = 1024**2
PATIENT = SourceDefaults(
    timeouts=Timeouts(connect_s=2), retries=RetryPolicy(max_attempts=4, base_delay_s=0.01, max_delay_s=0.05)
)
ONE_BY_ONE = replace(QUICK, pool=PoolLimits(min_size=0, max_size=1))  # so that some ranges are still to come


@asynccontextmanager
async def lying(
    container: BlobContainer, answer: Callable[[Passing], None]
) -> AsyncIterator[AzureBlobConnector]:
    async with (
        front(container.blob_endpoint, answer=answer) as endpoint,
        connector(sas_config(container, account_url=endpoint), defaults=ONE_BY_ONE) as blobs,
    ):
        yield blobs


@asynccontextmanager
async def own_service(path: Path, content: bytes) -> AsyncIterator[tuple[int, AzureBlobConnector]]:
    """The pid of an Azurite of the test's own, and a source over it that has `a.bin`."""
    async with run_azurite(path) as azurite:
        with ContainerClient.from_connection_string(azurite.connection_string, "box") as client:
            client.create_container()
            client.upload_blob("a.bin", content)
        config = {"container": "box", "connection_string": azurite.connection_string}
        async with connector(config, defaults=ONE_BY_ONE) as blobs:
            yield azurite.process.pid, blobs


def is_data(passing: Passing) -> bool:
    return passing.method == "GET" and "comp=" not in passing.query and passing.status in (200, 206)


async def test_answers_that_are_too_short(container: BlobContainer, tmp_path: Path) -> None:
    put(container, {"a.bin": os.urandom(9 * MIB)})

    def shorten(passing: Passing) -> None:
        if is_data(passing):
            passing.body = passing.body[:-1]

    async with lying(container, shorten) as blobs:
        with pytest.raises(SourceUnavailable, match=r"blob 'a\.bin'"):
            await blobs.download("a.bin", tmp_path / "a", max_bytes=10 * MIB)
    assert left_over(tmp_path) == set()


async def test_answers_of_the_right_length_with_a_wrong_byte(
    container: BlobContainer, tmp_path: Path
) -> None:
    put(container, {"a.bin": os.urandom(3 * MIB)})

    def damage(passing: Passing) -> None:
        if is_data(passing):
            passing.body = passing.body[:1000] + bytes([passing.body[1000] ^ 1]) + passing.body[1001:]

    async with lying(container, damage) as blobs:
        with pytest.raises(SourceUnavailable, match="do not have the MD5"):
            await blobs.download("a.bin", tmp_path / "a", max_bytes=10 * MIB)
    assert left_over(tmp_path) == set()


async def test_a_size_that_is_not_true(container: BlobContainer, tmp_path: Path) -> None:
    """More than there is, and less: the limit counts what is asked for, and no more than that is written."""
    put(container, {"a.bin": os.urandom(2 * MIB)})
    claimed = 0

    def claim(passing: Passing) -> None:
        if passing.method == "HEAD":
            passing.headers["content-length"] = str(claimed)

    async with lying(container, claim) as blobs:
        for claimed in (3 * MIB, 5 * MIB, MIB):  # noqa: B007  the service claims it
            with pytest.raises(SourceUnavailable, match=r"blob 'a\.bin'"):
                await blobs.download("a.bin", tmp_path / "a", max_bytes=10 * MIB)
        claimed = 10 * MIB + 1
        with pytest.raises(FileTooLarge):
            await blobs.download("a.bin", tmp_path / "a", max_bytes=10 * MIB)
    assert left_over(tmp_path) == set()


async def test_listings_without_an_end(container: BlobContainer) -> None:
    put(container, {"a.csv": b"x"})

    def endless(passing: Passing) -> None:
        if "comp=list" in passing.query:
            passing.body = passing.body.replace(b"<NextMarker/>", b"<NextMarker>again</NextMarker>")

    async with lying(container, endless) as blobs:
        with pytest.raises(SourceUnavailable, match="does not answer like a blob service"):
            await blobs.list_items()
        with pytest.raises(SourceUnavailable, match="does not answer like a blob service"):
            await blobs.find("*.csv")
        items, end = await blobs.page_items(limit=100)
        assert ([item.path for item in items], end) == (["a.csv"], None)


async def test_a_listing_that_is_too_long(container: BlobContainer) -> None:
    def swell(passing: Passing) -> None:
        passing.body += b" " * (65 * MIB)

    async with lying(container, swell) as blobs:
        with pytest.raises(SourceUnavailable, match="does not answer like a blob service"):
            await blobs.list_items()


async def test_redirects_lead_nowhere(container: BlobContainer, tmp_path: Path) -> None:
    asked = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(elsewhere, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        def redirect(passing: Passing) -> None:
            passing.status = 302
            passing.headers["location"] = f"http://127.0.0.1:{port}/internal"

        async with lying(container, redirect) as blobs:
            for call in (
                blobs.list_items(),
                blobs.get_metadata("a.csv"),
                blobs.download("a.csv", tmp_path / "a", max_bytes=10),
            ):
                with pytest.raises(SourceUnavailable, match="answered 302"):
                    await call
    assert asked == []


async def test_a_redirected_download_reaches_no_other_host(container: BlobContainer, tmp_path: Path) -> None:
    """obstore would follow, and nothing turns that off."""
    put(container, {"a.csv": b"id\n1\n"})
    asked = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(elsewhere, "127.0.0.2", 0) as server:
        port = server.sockets[0].getsockname()[1]

        def redirect(passing: Passing) -> None:
            if passing.method == "GET" and "comp=" not in passing.query:
                passing.status = 307
                passing.headers["location"] = f"http://127.0.0.2:{port}/internal"

        async with lying(container, redirect) as blobs:
            with pytest.raises(SourceUnavailable, match="answered 307"):
                await blobs.download("a.csv", tmp_path / "a", max_bytes=10)
    assert asked == []


@pytest.mark.parametrize("config", [key_config, sas_config])
async def test_obstore_moves_the_bytes(
    container: BlobContainer, config: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """What it fails at the SDK does, so that nothing but the cost would tell."""
    put(container, {"a.bin": os.urandom(9 * MIB)})
    agents = set()

    def note(passing: Passing) -> None:
        if passing.method == "GET" and "comp=" not in passing.query:
            agents.add(passing.headers.get("User-Agent", "").partition("/")[0])

    async with (
        front(container.blob_endpoint, ask=note) as endpoint,
        connector(config(container, account_url=endpoint)) as blobs,
    ):
        await blobs.download("a.bin", tmp_path / "a", max_bytes=10 * MIB)
    assert agents == {"object_store"}


async def test_a_cancelled_upload_asks_for_nothing_more(container: BlobContainer, tmp_path: Path) -> None:
    (tmp_path / "big.bin").write_bytes(os.urandom(30 * MIB))
    begun = asyncio.Event()
    puts = 0

    def count(passing: Passing) -> None:
        nonlocal puts
        if passing.method == "PUT":
            puts += 1
            begun.set()

    async with front(container.blob_endpoint, ask=count) as endpoint:
        config = sas_config(container, "rlcw", account_url=endpoint, read_only=False)
        async with connector(config) as blobs:
            task = asyncio.create_task(blobs.upload_file(tmp_path / "big.bin"))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            stats = blobs.pool_stats()
            assert stats is not None
            assert stats.in_use == 0
            await blobs.list_items()  # behind what was on its way
            sent = puts
            for _ in range(5):
                await blobs.list_items()
        assert puts == sent <= 4
    assert [blob.name for blob in container.client.list_blobs()] == []


async def test_an_upload_whose_file_is_cut_short(container: BlobContainer, tmp_path: Path) -> None:
    local = tmp_path / "big.bin"
    local.write_bytes(os.urandom(9 * MIB))

    def cut(passing: Passing) -> None:
        if passing.method == "PUT":
            os.truncate(local, 3 * MIB)

    async with front(container.blob_endpoint, ask=cut) as endpoint:
        config = sas_config(container, "rlcw", account_url=endpoint, read_only=False)
        async with connector(config) as blobs:
            with pytest.raises(Stale, match="the file was changed while it was uploaded"):
                await blobs.upload_file(local)
    assert [blob.name for blob in container.client.list_blobs()] == []


async def test_a_blob_that_is_never_the_same(container: BlobContainer, tmp_path: Path) -> None:
    put(container, {"a.bin": os.urandom(40 * MIB)})

    def change(passing: Passing) -> None:
        if is_data(passing):  # its ETag, that is
            container.client.get_blob_client("a.bin").set_blob_metadata({"read": secrets.token_hex(4)})

    async with lying(container, change) as blobs:
        with pytest.raises(Stale, match=r"blob 'a\.bin'.* changed meanwhile"):
            await fetch(blobs, DataReference("b", path="a*"), tmp_path, limits=Limits())
    assert left_over(tmp_path) == set()


async def test_a_blob_that_changed_since_it_was_listed_is_read_as_it_is(
    container: BlobContainer, tmp_path: Path
) -> None:
    put(container, {"a.csv": b"old"})
    async with connector(key_config(container)) as blobs:
        (item,) = await blobs.find("*.csv")
        container.client.upload_blob("a.csv", b"new and longer", overwrite=True)
        done = await blobs.download_item(item, tmp_path / "a", max_bytes=100)
        assert done.bytes == 14
        with pytest.raises(FileTooLarge):
            await blobs.download_item(item, tmp_path / "b", max_bytes=13)
    assert (tmp_path / "a").read_bytes() == b"new and longer"
    assert left_over(tmp_path, {"a"}) == set()


@pytest.mark.parametrize("seed", range(8))
async def test_cut_anywhere(container: BlobContainer, seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    content = chance.randbytes(chance.randint(1, 12 * MIB))
    put(container, {"a.bin": content})
    async with blob_proxy(container.blob_endpoint) as proxy:
        proxy.cut_after, proxy.cuts = chance.randint(0, len(content)), chance.randint(1, 3)
        config = key_config(container, account_url=proxy.endpoint)
        async with connector(config, defaults=PATIENT) as blobs:
            try:
                await blobs.download("a.bin", tmp_path / "a", max_bytes=20 * MIB)
            except SourceUnavailable:
                assert left_over(tmp_path) == set()
            else:
                assert (tmp_path / "a").read_bytes() == content
                assert left_over(tmp_path, {"a"}) == set()


async def test_a_service_that_is_stopped_and_goes_on(tmp_path: Path) -> None:
    content = os.urandom(30 * MIB)
    stops = iter([signal.SIGSTOP])
    async with own_service(tmp_path / "azurite", content) as (pid, blobs):
        stopped = asyncio.Event()

        def stop(_: Progress) -> None:
            if sent := next(stops, None):
                os.kill(pid, sent)
                stopped.set()

        download = asyncio.create_task(
            blobs.download("a.bin", tmp_path / "a", max_bytes=40 * MIB, on_progress=stop)
        )
        await stopped.wait()
        done, _ = await asyncio.wait({download}, timeout=1)  # it waits
        assert not done
        os.kill(pid, signal.SIGCONT)
        await download
    assert (tmp_path / "a").read_bytes() == content


async def test_a_service_that_is_killed(tmp_path: Path) -> None:
    async with own_service(tmp_path / "azurite", os.urandom(30 * MIB)) as (pid, blobs):

        def kill(_: Progress) -> None:
            os.kill(pid, signal.SIGKILL)

        with pytest.raises(SourceUnavailable, match=r"refuses connections|was dropped"):
            await blobs.download("a.bin", tmp_path / "a", max_bytes=40 * MIB, on_progress=kill)
    assert left_over(tmp_path, {"azurite"}) == set()


@pytest.mark.long
async def test_two_hundred_downloads_at_once(container: BlobContainer, tmp_path: Path) -> None:
    content = {f"{n:03}.bin": os.urandom(MIB + n) for n in range(200)}
    put(container, content)
    async with connector(key_config(container)) as blobs:
        await asyncio.gather(*(blobs.download(name, tmp_path / name, max_bytes=2 * MIB) for name in content))
    for name, expected in content.items():
        assert (tmp_path / name).read_bytes() == expected


@pytest.mark.long
@pytest.mark.requirement("10.1")
async def test_five_gigabytes_are_refused_before_any_transfer(
    container: BlobContainer, tmp_path: Path
) -> None:
    container.client.get_blob_client("huge.bin").create_page_blob(5 * 1024 * MIB)
    async with blob_proxy(container.blob_endpoint) as proxy:
        config = sas_config(container, account_url=proxy.endpoint)
        async with connector(config) as blobs:
            with pytest.raises(FileTooLarge, match=r"5,368,709,120 bytes.*104,857,600"):
                await blobs.download("huge.bin", tmp_path / "x", max_bytes=100 * MIB)
            with pytest.raises(FileTooLarge, match="5,368,709,120 bytes"):
                await fetch(blobs, DataReference("b", path="*"), tmp_path, limits=Limits())
        assert proxy.received < 20_000
    assert left_over(tmp_path) == set()


@pytest.mark.long
async def test_the_workspace_has_the_blob_s_sha256_whatever_the_size(
    container: BlobContainer, tmp_path: Path
) -> None:
    chance = random.Random(7)
    sizes = [
        0,
        1,
        4 * MIB - 1,
        4 * MIB,
        4 * MIB + 1,
        64 * MIB,
        *(chance.randint(0, 40 * MIB) for _ in range(20)),
    ]
    contents = {f"{n}.bin": chance.randbytes(size) for n, size in enumerate(sizes)}
    put(container, contents)
    async with connector(key_config(container)) as blobs:
        fetched = await fetch(blobs, DataReference("b", path="*"), tmp_path, limits=Limits())
    for file in fetched:
        assert sha256(tmp_path / file.file) == hashlib.sha256(contents[file.path or ""]).hexdigest()


async def test_sixty_requests_at_once_of_every_kind(container: BlobContainer, tmp_path: Path) -> None:
    put(container, {f"{n}.csv": b"x" * n for n in range(20)})
    async with connector(key_config(container), defaults=PATIENT) as blobs:
        results = await asyncio.gather(
            *(blobs.download(f"{n}.csv", tmp_path / str(n), max_bytes=100) for n in range(20)),
            *(blobs.get_metadata(f"{n}.csv") for n in range(20)),
            *(blobs.find(f"{n}*") for n in range(10)),
            *(blobs.list_items() for _ in range(10)),
            return_exceptions=True,
        )
    assert not [result for result in results if isinstance(result, (DeepAnalyzeError, Exception))]
