from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deepanalyze.datasources.base import DataSourceConfig
from deepanalyze.datasources.connectors.azure_blob import AzureBlobConnector
from deepanalyze.datasources.fetch import fetch
from deepanalyze.datasources.limits import Limits, PoolLimits, SourceDefaults
from deepanalyze.datasources.references import DataReference
from deepanalyze.errors import (
    BlobNotFound,
    DeepAnalyzeError,
    FileTooLarge,
    HostNotAllowed,
    InvalidRequest,
    NotFound,
    SourceAuthenticationFailed,
    SourceError,
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
)
from tests.support.file_sources import ODD_FILE_NAMES
from tests.support.logs import captured_logs
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
    *ODD_FILE_NAMES,
    "a//b.csv",
    "//c",
    "/leading.csv",
    "trailing/",
    "...",
    ".hidden",
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


@pytest.mark.requirement("8.1")
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
        with pytest.raises(FileTooLarge, match="more than 2 blobs"):
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


@pytest.mark.parametrize("name", ["", "x" * 1025, "a\0b"])
async def test_names_that_cannot_be_meant(container: BlobContainer, name: str, tmp_path: Path) -> None:
    async with connector(key_config(container)) as blobs:
        for call in (
            blobs.find(name),
            blobs.download(name, tmp_path / "x", max_bytes=1),
            blobs.get_metadata(name),
        ):
            with pytest.raises(InvalidRequest):
                await call


async def test_a_signature_that_is_no_text_is_an_error_of_ours(container: BlobContainer) -> None:
    config = sas_config(container, sas_token=sas(container).rpartition("sig=")[0] + "sig=%FFAA")
    connector = AzureBlobConnector(DataSourceConfig("blobs", "azure_blob", "blobs", config))
    try:
        assert not await connector.test_connection()
        assert isinstance(connector.last_error, SourceError)
    finally:
        await connector.disconnect()


SIGNATURE = "sig=" + "A" * 43 + "%3D"


@pytest.mark.requirement("1.5")
@pytest.mark.parametrize(
    ("config", "words"),
    [
        (lambda c: key_config(c, account_key=WRONG_KEY), "account key is wrong for account"),
        (
            lambda c: sas_config(c, sas_token=sas(c).rpartition("sig=")[0] + SIGNATURE),
            "its signature is wrong",
        ),
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


async def test_metadata_tells_the_properties(container: BlobContainer) -> None:
    blob = container.client.upload_blob("a/b.csv", b"x,y\n", metadata={"owner": "ann"})
    blob.set_blob_tags({"project": "q3 report", "team": "sales"})
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
        "content_language": None,
        "content_disposition": None,
        "cache_control": None,
        "etag": properties.etag,
        "md5": base64.b64encode(hashlib.md5(b"x,y\n").digest()).decode(),
        "tier": "Hot",
        "archive_status": None,
        "lease": "available",
        "version_id": None,
        "is_current_version": None,
        "snapshot": None,
        "tags": {"project": "q3 report", "team": "sales"},
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


def test_is_found_by_its_entry_point() -> None:
    from importlib.metadata import entry_points

    (found,) = entry_points(group="deepanalyze.connectors", name="azure_blob")
    assert found.load() is AzureBlobConnector


@pytest.mark.requirement("1.1")
async def test_a_public_container_needs_no_credentials(container: BlobContainer, tmp_path: Path) -> None:
    put(container, {"a.csv": b"x\n1\n", "odd//b": b"odd"})
    config = {"container": container.name, "account_url": container.blob_endpoint, "anonymous": True}
    async with connector(config) as blobs:
        assert not await blobs.test_connection()
        assert "does not let anybody read without credentials; give a SAS token" in str(blobs.last_error)
    container.client.set_container_access_policy({}, public_access="container")
    async with connector(config) as blobs:
        assert await blobs.test_connection(), blobs.last_error
        assert {item.path async for item in blobs.iter_items(recursive=True)} == {"a.csv", "odd//b"}
        assert Path(await blobs.fetch_data("a.csv", tmp_path)).read_bytes() == b"x\n1\n"
        assert Path(await blobs.fetch_data("odd//b", tmp_path)).read_bytes() == b"odd"
        assert (await blobs.server_info())["authentication"] == "anonymous"


async def test_a_sas_that_ends_soon_or_may_too_much_is_warned_of(container: BlobContainer) -> None:
    soon = sas(container, "rlw", valid_for=timedelta(hours=2))
    with captured_logs() as logs:
        async with connector(sas_config(container, sas_token=soon)) as blobs:
            assert await blobs.test_connection()
            warnings = (await blobs.server_info())["warnings"]
    assert len(warnings) == 2
    assert "in 0.1 days" in warnings[0]
    assert "may also write" in warnings[1]
    assert soon.rpartition("sig=")[2] not in logs.getvalue() + repr(warnings)
    async with connector(sas_config(container, sas_token=soon, sas_expiry_warning_days=0)) as blobs:
        await blobs.test_connection()
        assert len((await blobs.server_info())["warnings"]) == 1


@pytest.mark.requirement("6.5")
@pytest.mark.parametrize("allowed", [["10.0.0.0/8"], ["*.blob.core.windows.net"]])
async def test_a_source_may_narrow_its_networks(container: BlobContainer, allowed: list[str]) -> None:
    for endpoint in (container.blob_endpoint, container.blob_endpoint.replace("127.0.0.1", "localhost")):
        blobs = connector(key_config(container, account_url=endpoint, allowed_networks=allowed))
        assert not await blobs.test_connection()
        assert isinstance(blobs.last_error, HostNotAllowed)
        assert "in none of the networks" in str(blobs.last_error)
    async with connector(key_config(container, allowed_networks=["127.0.0.0/8"])) as blobs:
        assert await blobs.list_items() == []


@pytest.mark.requirement("10.3")
async def test_requests_share_a_bounded_number_of_connections(container: BlobContainer) -> None:
    put(container, {"a.csv": b"x"})
    limited = SourceDefaults(pool=PoolLimits(max_size=2))
    seen = []
    async with connector(key_config(container), defaults=limited) as blobs:

        async def ask() -> None:
            await blobs.get_metadata("a.csv")
            seen.append(blobs.pool_stats())

        await asyncio.gather(*(ask() for _ in range(20)))
        idle = blobs.pool_stats()
    assert blobs.pool_stats() is None
    assert max(stats.in_use for stats in seen if stats) <= 2
    assert max(stats.waiting for stats in seen if stats) > 0
    assert idle is not None
    assert (idle.in_use, idle.waiting, idle.max_size, idle.waited) == (0, 0, 2, 18)


@pytest.mark.requirement("10.1")
async def test_all_files_of_a_path_have_a_limit_together(container: BlobContainer, tmp_path: Path) -> None:
    put(container, {f"{n}.csv": b"x" * 100 for n in range(5)})
    async with blob_proxy(container.blob_endpoint) as proxy:
        blobs = connector(key_config(container, account_url=proxy.endpoint))
        async with blobs:
            await blobs.list_items()
            reference = DataReference("blobs", path="*.csv")
            before = proxy.received
            with pytest.raises(
                FileTooLarge, match=r"500 bytes together, the limit is 499 \(max_fetch_bytes\)"
            ):
                await fetch(blobs, reference, tmp_path, limits=Limits(max_fetch_bytes=499))
            assert proxy.received - before < 10_000  # the listing
            assert len(await fetch(blobs, reference, tmp_path, limits=Limits(max_fetch_bytes=500))) == 5
