"""Hourly weather into a blob container, one CSV file for each month."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Mapping

from azure.core.exceptions import AzureError
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import ContainerClient

from deepanalyze.devservices.azurite import Azurite
from deepanalyze.devservices.sampledata.dataset import OnProgress, read_rows

CONTAINER = "weather-data"
LABEL = "weather"
CSV = ContentSettings(content_type="text/csv; charset=utf-8")


async def load_weather(azurite: Azurite, on_progress: OnProgress) -> None:
    """What is there and whole stays as it is.

    Each blob is read back and compared: Azurite writes its indexes every few seconds, so that a crash can leave a
    blob listed and unreadable.
    """
    blobs = await asyncio.to_thread(monthly_files)
    async with ContainerClient.from_connection_string(
        azurite.connection_string, CONTAINER, retry_total=0
    ) as container:
        if not await container.exists():
            await container.create_container()
        for done, (name, content) in enumerate(blobs.items(), 1):
            if await _content(container, name) != content:
                await container.upload_blob(name, content, overwrite=True, content_settings=CSV)
                on_progress(LABEL, done, len(blobs))


def monthly_files() -> Mapping[str, bytes]:
    """`weather/2013/01.csv` … `12.csv`; missing values are empty."""
    rows = read_rows("weather")
    header = next(rows)
    year, month = header.index("year"), header.index("month")
    texts: dict[str, io.StringIO] = {}
    for row in rows:
        name = f"weather/{row[year]}/{int(row[month]):02}.csv"
        if name not in texts:
            texts[name] = io.StringIO()
            _write(texts[name], header)
        _write(texts[name], ["" if value == "NA" else value for value in row])
    return {name: texts[name].getvalue().encode() for name in sorted(texts)}


def _write(text: io.StringIO, row: list[str]) -> None:
    csv.writer(text, lineterminator="\n").writerow(row)


async def _content(container: ContainerClient, name: str) -> bytes | None:
    """None when it is not there or cannot be read, for whatever reason: it is then uploaded anew."""
    try:
        download = await container.download_blob(name)
        return await download.readall()
    except AzureError:
        return None
