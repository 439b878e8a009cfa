"""What the ways to read blobs share: where the container is, what is asked of them, the checks that all of them make,
and measuring it after a rehearsal on the smallest of its kind.

A way brings `download`, `list_all` and `list_level`, blocking or not; the tasks are the same for both.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from benchmarks.ways.inside import measured

CONTAINER = "bench"
CONNECTION = os.environ["BENCH_CONNECTION"]
ENDPOINT = os.environ["BENCH_ENDPOINT"]
SAS = os.environ["BENCH_SAS"]
TASK = os.environ["BENCH_TASK"]
PATH = os.environ["BENCH_PATH"]  # of one blob, or a prefix
OUT = Path(os.environ["BENCH_OUT"])
REHEARSALS = {"one": "rehearsal/small", "many": "rehearsal/", "all": "rehearsal/", "level": "rehearsal/"}
_MD5S: dict[str, str] = json.loads(Path(os.environ["BENCH_MD5S"]).read_text())

AT_ONCE = 8  # small blobs
RANGES = 4  # of a large one
RANGE_BYTES = 4 * 1024**2

Listed = list[tuple[str, int, float]]
"""Name, bytes, Unix seconds of the last change."""


class Way(Protocol):
    def download(self, name: str, file: Path) -> object: ...
    def list_all(self, prefix: str) -> Listed: ...
    def list_level(self, prefix: str) -> list[str]: ...


class AsyncWay(Protocol):
    async def download(self, name: str, file: Path) -> object: ...
    async def list_all(self, prefix: str) -> Listed: ...
    async def list_level(self, prefix: str) -> list[str]: ...


def measure(way: Way) -> None:
    def work(path: str, directory: Path) -> object:
        match TASK:
            case "one":
                return way.download(path, directory / local_name(path))
            case "all":
                return way.list_all(path)
            case "level":
                return way.list_level(path)
        names = [name for name, _, _ in way.list_all(path)]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(way.download, names, [directory / local_name(name) for name in names]))

    with _rehearsal() as (path, directory):
        work(path, directory)
    with measured():
        found = work(PATH, OUT)
    _keep(found)


async def measure_async(way: AsyncWay) -> None:
    async def work(path: str, directory: Path) -> object:
        match TASK:
            case "one":
                return await way.download(path, directory / local_name(path))
            case "all":
                return await way.list_all(path)
            case "level":
                return await way.list_level(path)
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> object:
            async with slots:
                return await way.download(name, directory / local_name(name))

        return await asyncio.gather(*[one(name) for name, _, _ in await way.list_all(path)])

    await measure_whole(work)


class _Work(Protocol):
    def __call__(self, path: str, directory: Path) -> Awaitable[object]: ...


async def measure_whole(work: _Work) -> None:
    with _rehearsal() as (path, directory):
        await work(path, directory)
    with measured():
        found = await work(PATH, OUT)
    _keep(found)


def local_name(path: str) -> str:
    return path.rpartition("/")[2]


def check_md5(name: str, digest: str) -> None:
    if digest != _MD5S[name]:
        raise AssertionError(f"{name} arrived with the MD5 {digest}")


def has_md5(name: str) -> bool:
    return name in _MD5S


def check_file(name: str, file: Path) -> None:
    """For ways that have no hands on the bytes on their way."""
    if has_md5(name):
        with file.open("rb") as opened:
            check_md5(name, hashlib.file_digest(opened, "md5").hexdigest())


@contextmanager
def _rehearsal() -> Iterator[tuple[str, Path]]:
    directory = OUT.with_name("rehearsal")
    directory.mkdir()
    try:
        yield REHEARSALS[TASK], directory
    finally:
        shutil.rmtree(directory)


def _keep(found: object) -> None:
    if TASK in ("all", "level"):
        (OUT / "listed.json").write_text(json.dumps(found))
