"""A plain HTTP client and a shared access signature."""

from __future__ import annotations

import asyncio
import hashlib
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote

import aiohttp
from yarl import URL

from benchmarks.ways import blobs
from benchmarks.ways.blobs import Listed

BASE = f"{blobs.ENDPOINT}/{blobs.CONTAINER}"


class Plain:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def download(self, name: str, file: Path) -> None:
        url = URL(f"{BASE}/{quote(name)}?{blobs.SAS}", encoded=True)
        md5 = hashlib.md5() if blobs.has_md5(name) else None
        async with self._session.get(url) as answer:
            with file.open("wb") as opened:
                async for piece in answer.content.iter_any():
                    opened.write(piece)
                    if md5 is not None:
                        md5.update(piece)
                if opened.tell() != answer.content_length:
                    raise AssertionError(f"{name} arrived with {opened.tell()} bytes")
        if md5 is not None:
            blobs.check_md5(name, md5.hexdigest())

    async def list_all(self, prefix: str) -> Listed:
        return [
            (
                blob.findtext("Name", ""),
                int(blob.findtext("Properties/Content-Length", "")),
                parsedate_to_datetime(blob.findtext("Properties/Last-Modified", "")).timestamp(),
            )
            async for page in self._pages(f"prefix={quote(prefix)}")
            for blob in page.iterfind("Blobs/Blob")
        ]

    async def list_level(self, prefix: str) -> list[str]:
        return [
            folder.findtext("Name", "")
            async for page in self._pages(f"prefix={quote(prefix)}&delimiter=%2F")
            for folder in page.iterfind("Blobs/BlobPrefix")
        ]

    async def _pages(self, query: str) -> AsyncIterator[ET.Element]:
        marker = ""
        while True:
            url = f"{BASE}?restype=container&comp=list&{query}&marker={quote(marker)}&{blobs.SAS}"
            async with self._session.get(URL(url, encoded=True)) as answer:
                page = ET.fromstring(await answer.read())
            yield page
            marker = page.findtext("NextMarker", "")
            if not marker:
                return


async def main() -> None:
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        await blobs.measure_async(Plain(session))


asyncio.run(main())
