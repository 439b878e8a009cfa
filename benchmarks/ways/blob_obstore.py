"""Its blocking calls: `ranges` with four of them at once, `stream` in one go."""

from __future__ import annotations

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
from obstore.store import AzureStore

from benchmarks.ways import blobs
from benchmarks.ways.blobs import Listed

store = AzureStore(
    blobs.CONTAINER,
    config={
        "account_name": blobs.ENDPOINT.rpartition("/")[2],
        "endpoint": blobs.ENDPOINT,
        "sas_key": blobs.SAS,
    },
    client_options={"allow_http": True},
)


class Listing:
    def list_all(self, prefix: str) -> Listed:
        return [
            (meta["path"], meta["size"], meta["last_modified"].timestamp())
            for chunk in obstore.list(store, prefix, chunk_size=5000)
            for meta in chunk
        ]

    def list_level(self, prefix: str) -> list[str]:
        return [f"{folder}/" for folder in obstore.list_with_delimiter(store, prefix)["common_prefixes"]]


class Stream(Listing):
    def download(self, name: str, file: Path) -> None:
        found = obstore.get(store, name)
        md5 = hashlib.md5() if blobs.has_md5(name) else None
        with file.open("wb") as opened:
            for piece in found.stream(min_chunk_size=1024**2):
                opened.write(piece)
                if md5 is not None:
                    md5.update(piece)
            if opened.tell() != found.meta["size"]:
                raise AssertionError(f"{name} arrived with {opened.tell()} bytes")
        if md5 is not None:
            blobs.check_md5(name, md5.hexdigest())


class Ranges(Listing):
    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(blobs.RANGES)

    def download(self, name: str, file: Path) -> None:
        meta = obstore.head(store, name)
        size, etag = meta["size"], meta["e_tag"]
        with file.open("wb") as opened:

            def bring(start: int) -> int:
                end = min(start + blobs.RANGE_BYTES, size)
                options = {"range": (start, end), "if_match": etag}
                return os.pwrite(opened.fileno(), obstore.get(store, name, options=options).bytes(), start)

            written = sum(self._threads.map(bring, range(0, size, blobs.RANGE_BYTES)))
        if written != size:
            raise AssertionError(f"{name} arrived with {written} bytes")
        blobs.check_file(name, file)


class Whole(Listing):
    def download(self, name: str, file: Path) -> None:
        found = obstore.get(store, name)
        data = found.bytes()
        if len(data) != found.meta["size"]:
            raise AssertionError(f"{name} arrived with {len(data)} bytes")
        blobs.check_md5(name, hashlib.md5(data).hexdigest())
        file.write_bytes(data)


blobs.measure({"ranges": Ranges, "stream": Stream, "whole": Whole}[sys.argv[1]]())
