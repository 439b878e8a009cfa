"""Tables in blobs, shown from the real Azurite: with only as much brought as is needed."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pandas as pd
import pytest
from azure.storage.blob import ContentSettings

from deepanalyze.datasources.tabular.looking import HEAD_BYTES
from deepanalyze.errors import BlobNotFound, InvalidRequest, NotSupported
from tests.support.blob_proxy import blob_proxy
from tests.support.blob_sources import connector, key_config, put
from tests.support.file_sources import by_column
from tests.support.services import BlobContainer


@pytest.mark.requirement("8.3")
async def test_of_a_large_blob_only_the_beginning_is_transferred(container: BlobContainer) -> None:
    lines = "".join(f"{n},{n * n % 9973},some text that is long enough\n" for n in range(500_000))
    put(container, {"big.csv": f"id,value,text\n{lines}".encode()})
    async with (
        blob_proxy(container.blob_endpoint) as proxy,
        connector(key_config(container, account_url=proxy.endpoint)) as source,
    ):
        table = await source.preview("big.csv", limit=1000)
        assert table.rows[2] == [2, 4, "some text that is long enough"]
        assert (len(table.rows), table.truncated) == (1000, True)
        assert HEAD_BYTES <= proxy.received < HEAD_BYTES + 20_000
        found = await source.statistics("big.csv")
    assert (found.row_count, found.estimated) == (500_000, False)
    assert by_column(found)["id"]["max"] == 499_999


@pytest.mark.requirement("8.3", "8.4")
async def test_blobs_of_several_formats(container: BlobContainer, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "ü"]})
    parquet, excel = io.BytesIO(), io.BytesIO()
    frame.to_parquet(parquet)
    frame.to_excel(excel, index=False)
    put(
        container,
        {
            "ü ☃/a.parquet": parquet.getvalue(),
            "a.xlsx": excel.getvalue(),
            "a.json": frame.to_json(orient="records").encode(),
            "no-ending": frame.to_csv(index=False).encode("utf-8"),
        },
    )
    container.client.upload_blob(
        "encoded.csv",
        gzip.compress(frame.to_csv(index=False).encode()),
        content_settings=ContentSettings(content_encoding="gzip"),
    )
    async with connector(key_config(container)) as source:
        for name in ("ü ☃/a.parquet", "a.xlsx", "a.json", "no-ending", "encoded.csv"):
            assert (await source.preview(name)).rows == [[1, "x"], [2, None], [3, "ü"]]
            columns = by_column(await source.statistics(name))
            assert columns["a"] == {
                "type": "BIGINT", "count": 3, "nulls": 0, "min": 1, "max": 3, "mean": 2.0, "stddev": 1.0,
                "distinct": 3,
            }  # fmt: skip


async def test_what_cannot_be_shown_is_told(container: BlobContainer) -> None:
    put(container, {"a.pdf": b"%PDF-1.7", "a.parquet": b"PAR1", "folder/a.csv": b"a\n1\n"})
    async with connector(key_config(container)) as source:
        with pytest.raises(NotSupported, match="PDF"):
            await source.preview("a.pdf")
        with pytest.raises(
            InvalidRequest, match=r"source 'blobs': 'a\.parquet' is not a readable Parquet file"
        ):
            await source.statistics("a.parquet")
        for name in ("none.csv", "folder"):
            with pytest.raises(BlobNotFound):
                await source.preview(name)
