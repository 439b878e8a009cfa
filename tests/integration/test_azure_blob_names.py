"""Every name that a blob may have, through listing, finding, describing and fetching, into a workspace and back."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepanalyze.access.bringing import fetch_into
from deepanalyze.analysis.manifest import load_manifest, record_fetched
from deepanalyze.datasources import BlobNotFound, InvalidRequest
from deepanalyze.datasources.connectors.azure_blob.names import leads_out
from deepanalyze.datasources.references import DataReference
from deepanalyze.workspace import Workspace
from tests.support.blob_sources import connector, key_config, sas, sas_config, sha256
from tests.support.services import BlobContainer

PIECES = st.sampled_from(
    ["a", "A", "é", "e\u0301", "☃", "𝒳", " ", "%", "%20", "%2F", "#", "?", "+", "&", "=", ";", "'", '"', "<", "[",
     "]", "*", "{", "}", "~", ".", "..", "...", "\t", ":", "|", "\u200e", "\u2028", "x" * 60, ".csv", ".gz"]
)  # fmt: skip
NAMES = st.lists(st.one_of(PIECES, st.just("/")), min_size=1, max_size=12).map("".join)
HARD = [
    "with space", "100%", "100%25", "a#b", "what?x=1", "a+b", "☃", "tab\there", "a//b", "a///b",
    "trailing.", "trailing..", "a/../b", "../../up", "..", ".", "./a", "a/.", "/leading", "//two", "trailing/",
    "Case", "case", "n" * 1024, "deep/" * 200 + "end", "a/same.csv", "b/same.csv", "c/../same.csv", "same.csv/x",
    " ", "/", "//", "new\nline",
]  # fmt: skip


def put_raw(container: BlobContainer, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """By requests of our own, since the SDK folds some names; those that the service took."""
    place, token = urlsplit(container.blob_endpoint), sas(container, "cw")
    taken = {}
    with closing(http.client.HTTPConnection(place.hostname or "", place.port)) as connection:
        for name, content in contents.items():
            path = f"{place.path}/{container.name}/{quote(name, safe='')}?{token}"
            headers = {"x-ms-version": "2021-12-02", "x-ms-blob-type": "BlockBlob"}
            connection.request("PUT", path, body=content, headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 201:
                taken[name] = content
    return taken


async def check_all(container: BlobContainer, contents: Mapping[str, bytes], directory: Path) -> None:
    workspace = Workspace(directory / "work", directory / "staging")
    workspace.create()
    async with connector(key_config(container)) as blobs:
        items = {item.path: item async for item in blobs.iter_items(recursive=True)}
        assert items.keys() == contents.keys()
        inside = [name for name in contents if not leads_out(name)]
        for name in inside:
            assert (await blobs.get_metadata(name))["size"] == len(contents[name])
        assert {item.path for name in inside for item in await blobs.find(name)} >= set(inside)
        reference = DataReference("blobs", path="**")
        fetched = await fetch_into(blobs, reference, workspace)
        record_fetched(workspace, reference, fetched)
    assert len({file.file for file in fetched}) == len(contents)
    known = load_manifest(workspace).fetched
    for listed in workspace.list():  # back from the file to the blob, by what was noted
        content = contents[known[listed.name].path or ""]
        assert sha256(workspace.root / listed.name) == hashlib.sha256(content).hexdigest()
    assert len(workspace.list()) == len(contents)
    outside = {path.name for path in directory.iterdir()} - {"work", "staging", "fetched.json"}
    assert not outside


@pytest.mark.requirement("1.7")
async def test_hard_names(container: BlobContainer, tmp_path: Path) -> None:
    contents = put_raw(container, {name: f"content of {name}".encode() for name in HARD})
    assert len(contents) >= len(HARD) - 3, set(HARD) - contents.keys()
    await check_all(container, contents, tmp_path)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(NAMES, min_size=1, max_size=10, unique=True))
def test_any_names(azurite: object, names: list[str]) -> None:
    import asyncio

    from deepanalyze.devservices.azurite import Azurite
    from tests.support.services import fresh_container

    assert isinstance(azurite, Azurite)
    with fresh_container(azurite) as container, TemporaryDirectory() as directory:
        contents = put_raw(container, {name: f"content of {name}".encode() for name in names})
        if contents:
            asyncio.run(check_all(container, contents, Path(directory)))


async def test_no_name_leads_into_another_container(container: BlobContainer, tmp_path: Path) -> None:
    """As a service that folds names would take it."""
    put_raw(container, {"../../up": b"up", "a/../../other/x": b"x"})
    async with connector(key_config(container)) as blobs:
        for name in ("../../up", "a/../../other/x", "../" + container.name + "/x"):
            for call in (blobs.download(name, tmp_path / "x", max_bytes=10), blobs.get_metadata(name)):
                with pytest.raises(InvalidRequest, match="leads out of the container"):
                    await call
            with pytest.raises(BlobNotFound):
                await blobs.find(name)
        assert [item.path for item in await blobs.find("../")] == ["../../up"]
        assert [item.path for item in await blobs.find("a/**/x")] == ["a/../../other/x"]


async def test_the_extension_survives(container: BlobContainer, tmp_path: Path) -> None:
    put_raw(container, {"x" * 900 + ".csv.gz": b"x", "f/" * 300 + "data.parquet": b"y"})
    workspace = Workspace(tmp_path / "work", tmp_path / "staging")
    workspace.create()
    async with connector(sas_config(container)) as blobs:
        fetched = await fetch_into(blobs, DataReference("blobs", path="**"), workspace)
    assert {file.file.rpartition("/")[2][-8:] for file in fetched} == {"x.csv.gz", ".parquet"}
