"""Blobs on their way to a directory and back."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobType, ContentSettings

from deepanalyze.access import SourceAccess
from deepanalyze.accounts import Principal, User
from deepanalyze.datasources.base import DataSourceConfig, Progress
from deepanalyze.datasources.limits import Limits, PoolLimits, SourceDefaults
from deepanalyze.datasources.references import DataReference
from deepanalyze.datasources.registry import DataSourceRegistry
from deepanalyze.errors import (
    AlreadyExists,
    BlobNotFound,
    FileTooLarge,
    InvalidRequest,
    NotFound,
    ReadOnlyViolation,
    SourceAuthenticationFailed,
    SourceUnavailable,
    Stale,
)
from deepanalyze.workspace import Workspace
from tests.support.blob_proxy import blob_proxy
from tests.support.blob_sources import connector, key_config, left_over, put, sas_config, sha256
from tests.support.services import BlobContainer

MIB = 1024**2


@pytest.mark.requirement("1.3")
async def test_a_file_comes_into_the_thread_s_workspace(container: BlobContainer, tmp_path: Path) -> None:
    put(container, {"sales/2013.csv": b"month,total\n1,17\n", "sales/2014.csv": b"month,total\n1,18\n"})
    workspace = Workspace(tmp_path / "work", tmp_path / "staging")
    workspace.create()
    admin = Principal(User(id="user-1", name="admin", role="admin"))
    async with DataSourceRegistry() as registry:
        await registry.register_data_source(
            DataSourceConfig("sales", "azure_blob", "sales", sas_config(container)), test_connection=True
        )
        access = SourceAccess(registry)
        fetched = await access.fetch(admin, DataReference("sales", path="sales/2013.csv"), workspace)
        fetched += await access.fetch(admin, DataReference("sales", path="sales/*.csv"), workspace)
    for file in fetched:
        original = container.client.download_blob(file.path).readall()
        assert (workspace.root / file.file).read_bytes() == original
        assert file.bytes == len(original)
    assert fetched[0].file == "2013.csv"
    assert {listed.name for listed in workspace.list()} == {file.file for file in fetched}
    assert left_over(workspace.staging) == set()


@pytest.mark.requirement("1.7")
async def test_names_and_extensions_are_kept_and_nothing_is_replaced(
    container: BlobContainer, tmp_path: Path
) -> None:
    contents = {"a/Übersicht 2013.final.CSV": b"one", "b/Übersicht 2013.final.CSV": b"two", "noext": b"three"}
    put(container, contents)
    (tmp_path / "noext").write_bytes(b"mine")
    async with connector(key_config(container)) as blobs:
        fetched = await asyncio.gather(*(blobs.fetch_data(name, tmp_path) for name in contents))
    assert {Path(path).name for path in fetched} == {
        "Übersicht 2013.final.CSV",
        "Übersicht 2013.final-2.CSV",
        "noext-2",
    }
    assert [Path(path).read_bytes() for path in fetched] == [b"one", b"two", b"three"]
    assert (tmp_path / "noext").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("/etc/passwd", "passwd"),
        ("x/.ssh", "_2essh"),
        ("...", "_2e_2e_2e"),
        ("a\nb", "a_0ab"),
        ("x//", "_"),
    ],
)
async def test_fetched_files_stay_in_their_directory_and_are_seen(
    container: BlobContainer, name: str, kept: str, tmp_path: Path
) -> None:
    put(container, {name: b"x"})
    async with connector(key_config(container)) as blobs:
        assert await blobs.fetch_data(name, tmp_path) == str(tmp_path / kept)
    assert left_over(tmp_path) == {kept}


@pytest.mark.parametrize("config", [key_config, sas_config])
@pytest.mark.parametrize("size", [0, 1, 4 * MIB, 30 * MIB + 7])
async def test_every_byte_arrives(
    container: BlobContainer, config: Callable[[BlobContainer], dict[str, Any]], size: int, tmp_path: Path
) -> None:
    original = tmp_path / "original"
    original.write_bytes(os.urandom(size))
    with original.open("rb") as file:
        container.client.upload_blob("data.bin", file)
    seen: list[Progress] = []
    async with connector(config(container)) as blobs:
        done = await blobs.download("data.bin", tmp_path / "copy", max_bytes=size, on_progress=seen.append)
    assert sha256(tmp_path / "copy") == sha256(original)
    assert done.bytes == size
    assert done.etag == container.client.get_blob_client("data.bin").get_blob_properties().etag
    assert seen[-1] == Progress(size, total_bytes=size)
    assert left_over(tmp_path, {"original", "copy"}) == set()


async def test_page_append_and_compressed_blobs_arrive_as_they_are(
    container: BlobContainer, tmp_path: Path
) -> None:
    page = os.urandom(1024)
    container.client.upload_blob("page", page, blob_type=BlobType.PAGEBLOB)
    container.client.upload_blob("append", b"one\n", blob_type=BlobType.APPENDBLOB)
    squeezed = b"not really gzip"
    for name in ("squeezed", "squeezed//odd"):
        container.client.upload_blob(
            name, squeezed, content_settings=ContentSettings(content_encoding="gzip")
        )
    async with connector(key_config(container)) as blobs:
        for name, content in {
            "page": page,
            "append": b"one\n",
            "squeezed": squeezed,
            "squeezed//odd": squeezed,
        }.items():
            fetched = await blobs.fetch_data(name, tmp_path)
            assert Path(fetched).read_bytes() == content


@pytest.mark.requirement("10.1")
async def test_a_file_over_the_limit_is_refused_before_a_byte_of_it_moves(
    container: BlobContainer, tmp_path: Path
) -> None:
    size = Limits().max_file_bytes + 512
    assert Limits().max_file_bytes == 100 * MIB
    container.client.get_blob_client("big.bin").create_page_blob(size)  # sparse
    async with (
        blob_proxy(container.blob_endpoint) as proxy,
        connector(key_config(container, account_url=proxy.endpoint)) as blobs,
    ):
        with pytest.raises(
            FileTooLarge, match=r"'big.bin' has 104,858,112 bytes.*104,857,600 \(max_file_bytes\)"
        ):
            await blobs.fetch_data("big.bin", tmp_path)
        for limit in (0, size - 1):
            with pytest.raises(FileTooLarge):
                await blobs.download("big.bin", tmp_path / "x", max_bytes=limit)
        assert proxy.received < 10_000
    assert left_over(tmp_path) == set()


@pytest.mark.requirement("10.4")
async def test_a_large_file_streams_in_bounded_memory(container: BlobContainer, tmp_path: Path) -> None:
    """In a process of its own, whose peak is measured from after a first small download on."""
    size = 200 * MIB
    blob = container.client.get_blob_client("large.bin")
    blob.create_page_blob(size)
    blob.upload_page(b"\x01" * 512, offset=size - 512, length=512)
    container.client.upload_blob("small.bin", b"x")
    script = """
import asyncio, json, resource, sys
from pathlib import Path
from deepanalyze.datasources.base import DataSourceConfig
from deepanalyze.datasources.connectors.azure_blob import AzureBlobConnector

async def main(config, size, directory):
    async with AzureBlobConnector(DataSourceConfig("s", "azure_blob", "s", config)) as blobs:
        await blobs.download("small.bin", directory / "small", max_bytes=size)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await blobs.download("large.bin", directory / "large", max_bytes=size)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

asyncio.run(main(json.loads(sys.stdin.read()), int(sys.argv[1]), Path(sys.argv[2])))
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(size), str(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    output, _ = await process.communicate(json.dumps(key_config(container)).encode())
    assert process.returncode == 0
    large = tmp_path / "large"
    assert large.stat().st_size == size
    with large.open("rb") as file:
        file.seek(size - 512)
        assert file.read() == b"\x01" * 512
    grown_kib = int(output)
    assert grown_kib < 64 * 1024
    large.unlink()


@pytest.mark.requirement("1.6")
async def test_a_failed_download_names_blob_and_reason(container: BlobContainer, tmp_path: Path) -> None:
    put(container, {"a.csv": b"12345"})
    async with connector(key_config(container)) as blobs:
        with pytest.raises(
            BlobNotFound, match=rf"blob 'b.csv' in container '{container.name}'.*does not exist"
        ):
            await blobs.download("b.csv", tmp_path / "b.csv", max_bytes=10)
        with pytest.raises(FileTooLarge, match=r"'a.csv' has 5 bytes, the limit is 4"):
            await blobs.download("a.csv", tmp_path / "a.csv", max_bytes=4)
        (tmp_path / "a.csv").touch()
        with pytest.raises(AlreadyExists, match=r"'a.csv'"):
            await blobs.download("a.csv", tmp_path / "a.csv", max_bytes=10)
    async with connector(sas_config(container, "l")) as blobs:
        with pytest.raises(SourceAuthenticationFailed, match=r"cannot read blob 'a.csv'.*permission to read"):
            await blobs.download("a.csv", tmp_path / "x", max_bytes=10)
    assert left_over(tmp_path, {"a.csv"}) == set()


async def test_a_blob_that_changes_while_it_is_read(container: BlobContainer, tmp_path: Path) -> None:
    put(container, {"a.bin": os.urandom(20 * MIB)})
    changed: list[bool] = []

    def change(_: Progress) -> None:
        if not changed:
            changed.append(True)
            container.client.upload_blob("a.bin", b"new", overwrite=True)

    # So that some ranges are still to come
    one_by_one = SourceDefaults(pool=PoolLimits(min_size=0, max_size=1))
    async with connector(key_config(container), defaults=one_by_one) as blobs:
        with pytest.raises(Stale, match=r"blob 'a.bin'.*changed meanwhile"):
            await blobs.download("a.bin", tmp_path / "a.bin", max_bytes=50 * MIB, on_progress=change)
    assert changed
    assert left_over(tmp_path) == set()


async def test_a_cancelled_download_leaves_nothing(container: BlobContainer, tmp_path: Path) -> None:
    put(container, {"a.bin": os.urandom(30 * MIB)})
    moving = asyncio.Event()
    async with connector(key_config(container)) as blobs:
        download = asyncio.create_task(
            blobs.download("a.bin", tmp_path / "a", max_bytes=50 * MIB, on_progress=lambda _: moving.set())
        )
        await moving.wait()
        download.cancel()
        with pytest.raises(asyncio.CancelledError):
            await download
        assert left_over(tmp_path) == set()
        assert (await blobs.download("a.bin", tmp_path / "b", max_bytes=50 * MIB)).bytes == 30 * MIB


async def test_disconnecting_ends_what_runs(container: BlobContainer, tmp_path: Path) -> None:
    put(container, {"a.bin": os.urandom(30 * MIB)})
    moving = asyncio.Event()
    blobs = connector(key_config(container))
    await blobs.connect()
    download = asyncio.create_task(
        blobs.download("a.bin", tmp_path / "a", max_bytes=50 * MIB, on_progress=lambda _: moving.set())
    )
    await moving.wait()
    await blobs.disconnect()
    with pytest.raises(SourceUnavailable, match="source 'blobs' was closed while it was in use"):
        await download
    assert left_over(tmp_path) == set()
    with pytest.raises(SourceUnavailable, match="not connected"):
        await blobs.list_items()
    async with blobs:
        assert len(await blobs.list_items()) == 1


async def test_fifty_downloads_at_once(container: BlobContainer, tmp_path: Path) -> None:
    contents = {f"{number}.bin": os.urandom(1000 * number) for number in range(50)}
    put(container, contents)
    async with blob_proxy(container.blob_endpoint) as proxy:
        async with connector(key_config(container, account_url=proxy.endpoint)) as blobs:
            await asyncio.gather(*(blobs.download(name, tmp_path / name, max_bytes=MIB) for name in contents))
            limit = blobs.defaults.pool.max_size
        assert proxy.connections <= 3 * limit  # two pools of that size, and a few made in haste
    assert {name: (tmp_path / name).read_bytes() for name in contents} == contents
    assert left_over(tmp_path, contents) == set()


@pytest.mark.requirement("1.4")
@pytest.mark.parametrize("size", [0, 10, 9 * MIB])
async def test_results_are_uploaded(container: BlobContainer, size: int, tmp_path: Path) -> None:
    made = tmp_path / "report.html"
    made.write_bytes(os.urandom(size))
    async with connector(sas_config(container, "rcwl", read_only=False)) as blobs:
        assert await blobs.upload_file(made) == "report.html"
        assert await blobs.upload_file(str(made), "out/2013 ☃.html") == "out/2013 ☃.html"
        for name in ("report.html", "out/2013 ☃.html"):
            assert container.client.download_blob(name).readall() == made.read_bytes()
            assert (await blobs.get_metadata(name))["content_type"] == "text/html"


async def test_an_upload_replaces_nothing_unless_told_to(container: BlobContainer, tmp_path: Path) -> None:
    put(container, {"a.csv": b"old"})
    (tmp_path / "a.csv").write_bytes(b"new")
    (tmp_path / "big").write_bytes(bytes(9 * MIB))
    async with connector(key_config(container, read_only=False)) as blobs:
        for local in ("a.csv", "big"):
            with pytest.raises(AlreadyExists, match=r"blob 'a.csv'"):
                await blobs.upload_file(tmp_path / local, "a.csv")
        assert container.client.download_blob("a.csv").readall() == b"old"
        await blobs.upload_file(tmp_path / "a.csv", overwrite=True)
        assert container.client.download_blob("a.csv").readall() == b"new"
        with pytest.raises(NotFound, match=r"no local file 'gone.csv'"):
            await blobs.upload_file(tmp_path / "gone.csv")
        with pytest.raises(InvalidRequest, match="is no name for a new blob"):
            await blobs.upload_file(tmp_path / "a.csv", "../up.csv")


async def test_a_source_is_read_only_unless_told_otherwise(container: BlobContainer, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x")
    async with connector(key_config(container)) as blobs:
        with pytest.raises(ReadOnlyViolation, match="source 'blobs' is read-only"):
            await blobs.upload_file(tmp_path / "a.csv")
    async with connector(sas_config(container, "rl", read_only=False)) as blobs:
        with pytest.raises(SourceAuthenticationFailed, match="lacks the permission to create and write"):
            await blobs.upload_file(tmp_path / "a.csv")
    assert list(container.client.list_blob_names()) == []
