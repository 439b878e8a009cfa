from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deepanalyze.datasources.base import Progress
from deepanalyze.datasources.connectors.azure_blob import AzureBlobConnector
from deepanalyze.datasources.limits import Limits, SourceDefaults
from deepanalyze.errors import (
    AlreadyExists,
    BlobNotFound,
    DeepAnalyzeError,
    FileTooLarge,
    InvalidRequest,
    NotFound,
    ReadOnlyViolation,
    SourceAuthenticationFailed,
    SourceUnavailable,
    Stale,
)
from tests.support.blob_proxy import blob_proxy
from tests.support.blob_sources import (
    WRONG_KEY,
    connector,
    key_config,
    left_over,
    put,
    sas,
    sas_config,
    sha256,
)
from tests.support.services import BlobContainer

MIB = 1024**2

WAYS: dict[str, Callable[[BlobContainer], dict[str, Any]]] = {
    "connection string with key": lambda c: {"container": c.name, "connection_string": c.connection_string},
    "connection string with SAS": lambda c: {
        "container": c.name,
        "connection_string": f"BlobEndpoint={c.blob_endpoint};SharedAccessSignature={sas(c)}",
    },
    "account key": key_config,
    "SAS": sas_config,
    "SAS with question mark": lambda c: {**key_config(c), "account_key": None, "sas_token": "?" + sas(c)},
}

ODD_NAMES = [
    "with space.csv",
    "snow ☃.csv",
    "e\u0301 and é",
    "100%.csv",
    "100%25.csv",
    "a#b.csv",
    "what?x=1&y.csv",
    "a+b.csv",
    "a//b.csv",
    "//c",
    "tab\tname.txt",
    "new\nline",
    "/leading.csv",
    "trailing/",
    "trailing dot.",
    "[1].csv",
    "{a,b}.csv",
    "star*.csv",
    "<&>\"'.csv",
    "semi;colon:and,comma=",
    "...",
    ".hidden",
    "CASE.csv",
    "case.csv",
    "deep/" * 100 + "down.csv",
    "long/" + "x" * 890 + ".csv",
]


@pytest.mark.requirement("1.1")
@pytest.mark.parametrize("way", WAYS)
async def test_every_way_in(container: BlobContainer, way: str, tmp_path: Path) -> None:
    put(container, {"a.csv": b"x\n1\n"})
    async with connector(WAYS[way](container)) as blobs:
        assert await blobs.test_connection(), blobs.last_error
        assert [item.path for item in await blobs.list_items()] == ["a.csv"]
        assert Path(await blobs.fetch_data("a.csv", tmp_path)).read_bytes() == b"x\n1\n"
        info = await blobs.server_info()
    assert info["container"] == container.name
    assert info["account"] == container.account_name
    assert "Azurite" in info["version"]
    if "SAS" in way:
        assert info["sas"]["permissions"] == ["read", "list"]
        assert info["sas"]["expires_at"] > info["sas"]["starts_at"]


@pytest.mark.requirement("1.2")
async def test_a_list_tells_names_sizes_and_times(container: BlobContainer) -> None:
    put(container, {"a.csv": b"12345", "b/c.csv": b"", "b/d.csv": b"1"})
    async with connector(sas_config(container)) as blobs:
        items = [item async for item in blobs.iter_items(recursive=True)]
    assert [(item.path, item.name, item.size, item.kind) for item in items] == [
        ("a.csv", "a.csv", 5, "blob"),
        ("b/c.csv", "c.csv", 0, "blob"),
        ("b/d.csv", "d.csv", 1, "blob"),
    ]
    for item in items:
        properties = container.client.get_blob_client(item.path).get_blob_properties()
        assert item.modified_at == int(properties.last_modified.timestamp())
        assert item.metadata["etag"] == properties.etag
        assert item.metadata["content_type"] == "application/octet-stream"


async def test_folders_open_one_by_one(container: BlobContainer) -> None:
    put(
        container,
        dict.fromkeys(("top.csv", "w/2013/01.csv", "w/2013/02.csv", "w/2014.csv", "wide.csv"), b"x"),
    )
    async with connector(key_config(container)) as blobs:
        top = await blobs.list_items()
        assert [(item.kind, item.path) for item in top] == [
            ("folder", "w/"),
            ("blob", "top.csv"),
            ("blob", "wide.csv"),
        ]
        for path in ("w", "w/"):
            below = await blobs.list_items(path)
            assert {(item.kind, item.name, item.path) for item in below} == {
                ("folder", "2013", "w/2013/"),
                ("blob", "2014.csv", "w/2014.csv"),
            }
        assert {item.path for item in await blobs.list_items("w/20")} == {"w/2013/", "w/2014.csv"}
        assert {item.path async for item in blobs.iter_items("w/2013", recursive=True)} == {
            "w/2013/01.csv",
            "w/2013/02.csv",
        }
        assert await blobs.list_items("nothing/") == []


async def test_listing_goes_on_over_many_pages(
    container: BlobContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"n{number:03}" for number in range(25)]
    put(container, dict.fromkeys(names, b""))
    async with connector(key_config(container)) as blobs:
        pages = blobs._session.page
        monkeypatch.setattr(
            blobs._session, "page", lambda prefix="", **more: pages(prefix, **{"max_results": 7, **more})
        )
        assert [item.path for item in await blobs.list_items()] == names


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.csv", {"a.csv"}),
        ("w/2013/*.csv", {"w/2013/01.csv", "w/2013/02.csv"}),
        ("**/*.csv", {"a.csv", "w/2013/01.csv", "w/2013/02.csv", "w/2014.csv"}),
        ("w/{2013/01,2014}.csv", {"w/2013/01.csv", "w/2014.csv"}),
        ("w/2013/0[2-9].csv", {"w/2013/02.csv"}),
        ("?.csv", {"a.csv"}),
        ("w/", {"w/2013/01.csv", "w/2013/02.csv", "w/2013/notes.txt", "w/2014.csv"}),
        ("odd[1].txt", {"odd[1].txt"}),
        ("marked/", {"marked/x"}),
        ("marker/", {"marker/"}),
    ],
)
async def test_what_a_path_stands_for(container: BlobContainer, path: str, expected: set[str]) -> None:
    names = (
        "a.csv",
        "w/2013/01.csv",
        "w/2013/02.csv",
        "w/2013/notes.txt",
        "w/2014.csv",
        "odd[1].txt",
        "odd1.txt",
    )
    put(container, {**dict.fromkeys(names, b"x"), "marked/": b"", "marked/x": b"x", "marker/": b""})
    async with connector(sas_config(container)) as blobs:
        assert {item.path for item in await blobs.find(path)} == expected


async def test_what_matches_nothing_shows_the_nearest_names(container: BlobContainer) -> None:
    put(container, {"sales/2013.csv": b"", "sales/2014.csv": b"", "other/thing.bin": b""})
    async with connector(key_config(container)) as blobs:
        with pytest.raises(
            BlobNotFound, match=r"blob 'sales/2015.csv'.*nearest: 'sales/2014.csv', 'sales/2013.csv'"
        ):
            await blobs.find("sales/2015.csv")
        with pytest.raises(BlobNotFound, match=r"no blob .* matches 'sale/\*.csv'; nearest: 'sales/201"):
            await blobs.find("sale/*.csv")
        with pytest.raises(BlobNotFound, match=r"it is a folder: 'sales/'"):
            await blobs.find("sales")
        with pytest.raises(BlobNotFound, match=r"matches 'nix/'"):
            await blobs.find("nix/")


async def test_more_matches_than_the_limit_are_refused(container: BlobContainer) -> None:
    put(container, {"1": b"", "2": b"", "3": b""})
    async with connector(key_config(container), defaults=SourceDefaults(limits=Limits(max_files=2))) as blobs:
        with pytest.raises(InvalidRequest, match="more than 2 blobs"):
            await blobs.find("*")


async def test_every_name_is_listed_found_and_read(container: BlobContainer, tmp_path: Path) -> None:
    contents = {name: f"content of {name}".encode() for name in ODD_NAMES}
    put(container, contents)
    async with connector(sas_config(container)) as blobs:
        assert {item.path async for item in blobs.iter_items(recursive=True)} == set(ODD_NAMES)
        for number, (name, content) in enumerate(contents.items()):
            assert [item.path for item in await blobs.find(name)] == [name]
            destination = tmp_path / str(number)
            assert (await blobs.download(name, destination, max_bytes=5000)).bytes == len(content)
            assert destination.read_bytes() == content
            assert (await blobs.get_metadata(name))["size"] == len(content)


@pytest.mark.parametrize("name", ["a/../b", "./a", "..", "", "x" * 1025])
async def test_names_that_cannot_be_meant(container: BlobContainer, name: str, tmp_path: Path) -> None:
    async with connector(key_config(container)) as blobs:
        for call in (
            blobs.find(name),
            blobs.download(name, tmp_path / "x", max_bytes=1),
            blobs.get_metadata(name),
        ):
            with pytest.raises(InvalidRequest):
                await call


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
    from azure.storage.blob import BlobType, ContentSettings

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
            FileTooLarge, match=r"blob 'big.bin' has 104,858,112 bytes.*104,857,600 \(max_file_bytes\)"
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


@pytest.mark.requirement("1.5")
@pytest.mark.parametrize(
    ("config", "words"),
    [
        (lambda c: key_config(c, account_key=WRONG_KEY), "account key is wrong for account"),
        (lambda c: sas_config(c, sas_token=sas(c)[:-8] + "AAAA%3D"), "its signature is wrong"),
        (lambda c: sas_config(c, sas_token=sas(c, valid_for=-timedelta(hours=1))), "SAS token expired at 20"),
        (lambda c: sas_config(c, permissions="w"), "lacks the permission to list; it has write"),
    ],
    ids=["wrong key", "wrong signature", "expired", "missing permission"],
)
async def test_refused_credentials_are_told_clearly(
    container: BlobContainer, config: Callable[[BlobContainer], dict[str, Any]], words: str, tmp_path: Path
) -> None:
    put(container, {"a.csv": b"x"})
    async with connector(config(container)) as blobs:
        assert not await blobs.test_connection()
        assert isinstance(blobs.last_error, SourceAuthenticationFailed)
        assert words in str(blobs.last_error)
        assert container.name in str(blobs.last_error)
        for call in (blobs.list_items(), blobs.find("a.csv"), blobs.fetch_data("a.csv", tmp_path)):
            with pytest.raises(SourceAuthenticationFailed, match="source 'blobs'"):
                await call
    assert left_over(tmp_path) == set()


async def test_a_sas_that_may_only_read_is_good_for_exact_names(
    container: BlobContainer, tmp_path: Path
) -> None:
    put(container, {"a.csv": b"x"})
    async with connector(sas_config(container, "r")) as blobs:
        assert await blobs.test_connection(), blobs.last_error
        assert Path(await blobs.fetch_data("a.csv", tmp_path)).read_bytes() == b"x"
        with pytest.raises(SourceAuthenticationFailed, match="lacks the permission to list; it has read"):
            await blobs.list_items()
        with pytest.raises(BlobNotFound):
            await blobs.find("b.csv")


async def test_a_missing_container_is_named(container: BlobContainer) -> None:
    async with connector(key_config(container, container_name="not-there")) as blobs:
        assert not await blobs.test_connection()
        assert isinstance(blobs.last_error, NotFound)
        with pytest.raises(NotFound, match="container 'not-there' does not exist in account"):
            await blobs.list_items()
        with pytest.raises(NotFound, match="container 'not-there'"):
            await blobs.find("a.csv")


@pytest.mark.requirement("1.6")
async def test_a_failed_download_names_blob_and_reason(container: BlobContainer, tmp_path: Path) -> None:
    put(container, {"a.csv": b"12345"})
    async with connector(key_config(container)) as blobs:
        with pytest.raises(
            BlobNotFound, match=rf"blob 'b.csv' in container '{container.name}'.*does not exist"
        ):
            await blobs.download("b.csv", tmp_path / "b.csv", max_bytes=10)
        with pytest.raises(FileTooLarge, match=r"blob 'a.csv' has 5 bytes, more than the limit of 4"):
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

    async with connector(key_config(container)) as blobs:
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
        with pytest.raises(InvalidRequest, match="blob_name"):
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


async def test_metadata_tells_the_properties(container: BlobContainer) -> None:
    container.client.upload_blob("a/b.csv", b"x,y\n", metadata={"owner": "ann"})
    async with connector(key_config(container)) as blobs:
        found = await blobs.get_metadata("a/b.csv")
        with pytest.raises(BlobNotFound):
            await blobs.get_metadata("a")
    properties = container.client.get_blob_client("a/b.csv").get_blob_properties()
    assert found == {
        "name": "b.csv",
        "path": "a/b.csv",
        "kind": "blob",
        "size": 4,
        "modified_at": int(properties.last_modified.timestamp()),
        "created_at": int(properties.creation_time.timestamp()),
        "content_type": "application/octet-stream",
        "content_encoding": None,
        "etag": properties.etag,
        "md5": base64.b64encode(hashlib.md5(b"x,y\n").digest()).decode(),
        "tier": "Hot",
        "blob_type": "BlockBlob",
        "metadata": {"owner": "ann"},
    }


async def test_secrets_are_nowhere(
    container: BlobContainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in errors, their tracebacks and chains, reprs or logs, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    put(container, {"a.csv": b"x"})
    good, expired = sas(container, "rl"), sas(container, valid_for=-timedelta(hours=1))
    secrets = [container.account_key, WRONG_KEY, *(token.split("sig=")[1] for token in (good, expired))]
    told = ""
    for config in (
        key_config(container),
        key_config(container, account_key=WRONG_KEY),
        sas_config(container, sas_token=good),
        sas_config(container, sas_token=expired),
        key_config(container, account_url="http://127.0.0.1:1/dev"),
        sas_config(container, sas_token=good, account_url="http://127.0.0.1:1/dev"),
    ):
        async with connector(config) as blobs:
            told += f"{blobs!r} {vars(blobs)!r} {blobs._session!r} {await blobs.server_info()}"
            for call in (
                blobs.list_items(),
                blobs.find("a.csv"),
                blobs.find("missing"),
                blobs.download("a.csv", tmp_path / "x", max_bytes=0),
                blobs.upload_file(tmp_path / "x"),
            ):
                try:
                    await call
                except DeepAnalyzeError as error:
                    told += "".join(traceback.format_exception(error)) + repr(error.details)
            await blobs.test_connection()
            told += repr(blobs.last_error)
    told += caplog.text
    assert "wrong for account" in told
    assert [secret for secret in secrets if secret in told] == []


async def test_the_event_loop_stays_free(container: BlobContainer, tmp_path: Path) -> None:
    """What holds the loop is slow by its nature, not by the machine's load: no call runs there for long in CPU time."""
    put(container, {"a.bin": os.urandom(30 * MIB)} | {f"many/{number}": b"" for number in range(200)})
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            worst = max(worst, time.thread_time() - before)

    async with connector(key_config(container)) as blobs:
        watcher = asyncio.create_task(watch())
        await blobs.download("a.bin", tmp_path / "a", max_bytes=50 * MIB)
        await blobs.list_items("many/")
        watcher.cancel()
    assert worst < 0.05


def test_is_found_by_its_entry_point() -> None:
    from importlib.metadata import entry_points

    (found,) = entry_points(group="deepanalyze.connectors", name="azure_blob")
    assert found.load() is AzureBlobConnector
