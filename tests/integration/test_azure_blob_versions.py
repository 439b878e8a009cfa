"""Snapshots and versions of blobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepanalyze.datasources import BlobNotFound, InvalidRequest, NotSupported
from deepanalyze.datasources.fetch import fetch
from deepanalyze.datasources.limits import Limits
from deepanalyze.datasources.references import DataReference
from deepanalyze.errors import SourceUnavailable
from tests.support.blob_sources import connector, key_config
from tests.support.blob_versions import versions_before
from tests.support.services import BlobContainer
from tests.support.toysource import ToyConnector

OLD, NEW = b"old\n" * 2_000_000, b"new\n"


def overwritten(container: BlobContainer, name: str) -> str:
    """A blob with NEW that was OLD when the snapshot of this time was taken."""
    blob = container.client.get_blob_client(name)
    blob.upload_blob(OLD)
    snapshot: str = blob.create_snapshot()["snapshot"]
    blob.upload_blob(NEW, overwrite=True)
    return snapshot


@pytest.mark.parametrize("name", ["a/b.csv", "odd//☃ [1]?.csv"])
async def test_a_snapshot_is_read_described_and_fetched(
    container: BlobContainer, name: str, tmp_path: Path
) -> None:
    snapshot = overwritten(container, name)
    async with connector(key_config(container)) as blobs:
        (item,) = await blobs.find(f"{name}?snapshot={snapshot}")
        assert (item.path, item.size) == (name, len(OLD))
        assert item.metadata["version"] == f"snapshot={snapshot}"
        await blobs.download(f"{name}?snapshot={snapshot}", tmp_path / "old", max_bytes=10**8)
        await blobs.download(name, tmp_path / "new", max_bytes=10**8)
        described = await blobs.get_metadata(f"{name}?snapshot={snapshot}")
        assert (described["size"], described["snapshot"]) == (len(OLD), snapshot)
        reference = DataReference("blobs", path=name, snapshot=snapshot)
        (file,) = await fetch(blobs, reference, tmp_path / "fetched", limits=Limits())
    assert (tmp_path / "old").read_bytes() == OLD
    assert (tmp_path / "new").read_bytes() == NEW
    assert file.file == name.rpartition("/")[2]  # under the blob's own name
    assert (file.path, file.version) == (name, f"snapshot={snapshot}")
    assert (tmp_path / "fetched" / file.file).read_bytes() == OLD


async def test_a_version_is_read_through_the_same_names(container: BlobContainer, tmp_path: Path) -> None:
    snapshot = overwritten(container, "a.csv")
    container.client.set_container_access_policy({}, public_access="container")
    async with versions_before(container.blob_endpoint) as endpoint:
        blobs = connector({"container": container.name, "account_url": endpoint, "anonymous": True})
        async with blobs:
            (current,) = await blobs.find("a.csv")
            assert "version" not in current.metadata
            assert (await blobs.get_metadata("a.csv"))["is_current_version"] is True
            reference = DataReference("blobs", path="a.csv", version_id=snapshot)
            (file,) = await fetch(blobs, reference, tmp_path, limits=Limits())
            await blobs.download(f"a.csv?versionid={snapshot}", tmp_path / "again", max_bytes=10**8)
            described = await blobs.get_metadata(f"a.csv?versionid={snapshot}")
    assert file.version == f"versionid={snapshot}"
    assert (tmp_path / file.file).read_bytes() == (tmp_path / "again").read_bytes() == OLD
    assert (described["version_id"], described["is_current_version"]) == (snapshot, None)


async def test_what_there_is_no_version_of(container: BlobContainer, tmp_path: Path) -> None:
    container.client.upload_blob("a.csv", NEW)
    never = "2020-01-01T00:00:00.0000000Z"
    async with connector(key_config(container)) as blobs:
        with pytest.raises(BlobNotFound, match=f"a.csv.snapshot={never}"):
            await blobs.download(f"a.csv?snapshot={never}", tmp_path / "x", max_bytes=10)
        for wrong in ("yesterday", "2020", "2020-01-01T00:00:00Z&sig=x"):
            with pytest.raises(InvalidRequest, match="is named by its time"):
                await fetch(
                    blobs, DataReference("b", path="a.csv", version_id=wrong), tmp_path, limits=Limits()
                )
        both = DataReference("b", path="a.csv", version_id=never, snapshot=never)
        with pytest.raises(InvalidRequest, match="not both"):
            await fetch(blobs, both, tmp_path, limits=Limits())
        with pytest.raises(InvalidRequest, match="are for files"):
            await fetch(blobs, DataReference("b", table="t", snapshot=never), tmp_path, limits=Limits())
    assert list(tmp_path.iterdir()) == []


async def test_a_wrong_md5_of_the_service_s_own_is_told(container: BlobContainer, tmp_path: Path) -> None:
    from azure.storage.blob import ContentSettings

    wrong = ContentSettings(content_md5=bytearray(b"0123456789abcdef"))
    container.client.upload_blob("a.csv", OLD).set_http_headers(wrong)
    async with connector(key_config(container)) as blobs:
        with pytest.raises(SourceUnavailable, match=r"blob 'a\.csv': .* do not have the MD5 .* verify"):
            await blobs.download("a.csv", tmp_path / "x", max_bytes=10**8)
        with pytest.raises(SourceUnavailable, match="do not have the MD5"):
            await fetch(blobs, DataReference("b", path="*.csv"), tmp_path, limits=Limits())
    assert list(tmp_path.iterdir()) == []
    async with connector(key_config(container, verify=False)) as blobs:
        await blobs.download("a.csv", tmp_path / "x", max_bytes=10**8)
    assert (tmp_path / "x").read_bytes() == OLD


async def test_other_sources_say_that_they_have_none(tmp_path: Path) -> None:
    from deepanalyze.datasources import DataSourceConfig

    toy = ToyConnector(DataSourceConfig("toy", "toy", "toy", {}))
    with pytest.raises(NotSupported, match="keeps no versions"):
        await fetch(toy, DataReference("toy", path="a", version_id="x"), tmp_path, limits=Limits())


async def test_a_table_of_long_ago_is_shown(container: BlobContainer) -> None:
    blob = container.client.get_blob_client("a.tsv")
    blob.upload_blob(b"n\ttext\n1\tone\n")
    snapshot = blob.create_snapshot()["snapshot"]
    blob.upload_blob(b"n\ttext\n1\tone\n2\ttwo\n", overwrite=True)
    async with connector(key_config(container)) as blobs:
        table = await blobs.preview(f"a.tsv?snapshot={snapshot}")
        assert [[*row] for row in table.rows] == [[1, "one"]]
        assert (await blobs.statistics("a.tsv")).row_count == 2
        with pytest.raises(BlobNotFound):
            await blobs.preview("nothing.csv")
