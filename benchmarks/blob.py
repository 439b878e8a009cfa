"""Blobs to files and a container's listing: this project beside obstore, Azure's SDK (blocking and not), adlfs, plain
aiohttp and curl; and how late the event loop runs meanwhile.

Azurite and its clients share one machine. Python's start, imports and first uses are left out: each script measures
the transfer alone and says so as JSON; curl is a whole process, with md5sum after it, and no peer. Every way checks
the length, and the MD5 that the blob was stored with where it has one (up to 100 MiB). BENCH_MAX_BYTES,
BENCH_SMALL_BLOBS, BENCH_LISTED_BLOBS and BENCH_ROUNDS make it shorter.
"""

from __future__ import annotations

import asyncio
import filecmp
import hashlib
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from azure.storage.blob import (
    ContainerClient,
    ContainerSasPermissions,
    ContentSettings,
    generate_container_sas,
)

from benchmarks.rounds import (
    OURS,
    Figures,
    Rounds,
    Way,
    best_of,
    print_delays,
    print_table,
    print_verdict,
    process,
    ratio,
    run_rounds,
    script,
)
from deepanalyze.devservices.azurite import Azurite, open_azurite
from deepanalyze.devservices.state import open_directory

CONTAINER = "bench"
MIB = 1024**2
MAX_BYTES = int(os.environ.get("BENCH_MAX_BYTES", 1024 * MIB))
SIZES = tuple(size for size in (100 * MIB, 1024 * MIB) if size <= MAX_BYTES)
MD5_UP_TO_BYTES = 100 * MIB
SMALL_BLOBS = int(os.environ.get("BENCH_SMALL_BLOBS", 2_000))
SMALL_BYTES = 10_000
LISTED_BLOBS = int(os.environ.get("BENCH_LISTED_BLOBS", 20_000))
LISTED_FOLDERS = 200
REHEARSED_BLOBS = 8
PIECE_BYTES = 4 * MIB

OURS_DOWNLOAD = "this project, download()"
CURL = "curl"
OTHERS = {
    "azure-storage-blob": "blob_sdk",
    "azure-storage-blob.aio": "blob_sdk_aio",
    "adlfs": "blob_adlfs",
    "aiohttp": "blob_aiohttp",
}
ONE = {
    OURS: "blob_this_project",
    "obstore, 4 ranges": "blob_obstore ranges",
    "obstore, one stream": "blob_obstore stream",
    **OTHERS,
}
MANY = {
    OURS: "blob_this_project fetch",
    OURS_DOWNLOAD: "blob_this_project",
    "obstore": "blob_obstore whole",
    **OTHERS,
}
LISTINGS = {OURS: "blob_this_project", "obstore": "blob_obstore whole", **OTHERS}
NOT_PEERS = {OURS, OURS_DOWNLOAD, CURL}

# What this project promises; wall and CPU time as ratios to the best peer's, figure by figure.
TRANSFER, LISTING = 1.1, 2.0
GROWTH_MIB = 64.0
DELAY_MS = 50.0


def main() -> None:
    asyncio.run(_main())


async def _main() -> None:
    with tempfile.TemporaryDirectory(prefix="deepanalyze-bench-") as path:
        async with (
            open_directory(Path(path) / "services") as directory,
            open_azurite(directory) as azurite,
        ):
            await asyncio.to_thread(measure, azurite, Path(path))


def measure(azurite: Azurite, directory: Path) -> None:
    container = Container(azurite, directory)
    container.fill()
    for size in SIZES:
        rounds = _rounds(7 if size <= 100 * MIB else 3)
        task = Task(container, "one", _large(size))
        ways = {**task.scripts(ONE), **({CURL: task.curl} if shutil.which("curl") else {})}
        _tell(f"one blob of {size // MIB:,} MiB", task.run(ways, rounds), TRANSFER)
    many = Task(container, "many", "small/")
    _tell(
        f"{SMALL_BLOBS:,} blobs of 10 kB, listed and brought",
        many.run(many.scripts(MANY), _rounds(5)),
        TRANSFER,
    )
    for title, name in ((f"listing {LISTED_BLOBS:,} blobs", "all"), ("one level of them", "level")):
        task = Task(container, name, "listed/")
        _tell(title, task.run(task.scripts(LISTINGS), _rounds(5)), LISTING)
    for title, name, blob in (
        ("three downloads of 100 MiB", "one", _large(100 * MIB)),
        (f"listing {LISTED_BLOBS:,} blobs", "all", "listed/"),
    ):
        task = Task(container, name, blob)
        delays = [script("blob_loop_delay", task.environment) for _ in range(_rounds(5))]
        print_delays(title, delays, DELAY_MS)


def _rounds(usual: int) -> int:
    return int(os.environ.get("BENCH_ROUNDS", usual))


def _large(size: int) -> str:
    return f"large/{size}"


def _tell(title: str, results: Rounds, limit: float) -> None:
    best = best_of(results, [name for name in results if name not in NOT_PEERS])
    print(f"\n{title}, as ratios to the best peer's figures (medians of {len(best)} interleaved rounds)")
    print_table(results, best)
    for name in (OURS, OURS_DOWNLOAD):
        if name in results:
            _tell_verdicts(name, results[name], best, limit)


def _tell_verdicts(name: str, runs: Sequence[Figures], best: Sequence[Figures], limit: float) -> None:
    wall, cpu = (ratio(runs, best, figure) for figure in ("wall_s", "cpu_s"))
    growth = statistics.median(run["growth_mib"] for run in runs)
    print_verdict(f"wall {wall:.2f}", limit, wall, name=name)
    print_verdict(f"CPU {cpu:.2f}", limit, cpu, name=name)
    print_verdict(f"growth {growth:.1f} MiB", GROWTH_MIB, growth, name=name)


@dataclass
class Container:
    """What is in it is in `originals` too, under the last parts of the names."""

    azurite: Azurite
    directory: Path
    md5s: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    filled_at: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.originals = self.directory / "originals"
        self.endpoint = self.azurite.blob_endpoint
        self.sas = generate_container_sas(
            self.azurite.account_name,
            CONTAINER,
            self.azurite.account_key,
            permission=ContainerSasPermissions(read=True, list=True),
            expiry=datetime.now(UTC) + timedelta(days=1),
        )

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "BENCH_CONNECTION": self.azurite.connection_string,
            "BENCH_ENDPOINT": self.endpoint,
            "BENCH_SAS": self.sas,
            "BENCH_MD5S": str(self.directory / "md5s.json"),
        }

    def original(self, name: str) -> Path:
        return self.originals / name.rpartition("/")[2]

    def fill(self) -> None:
        self.originals.mkdir(exist_ok=True)
        with ContainerClient.from_connection_string(self.azurite.connection_string, CONTAINER) as client:
            client.create_container()
            self._put(client, "rehearsal/small", 64 * 1024)
            with ThreadPoolExecutor(8) as threads:
                small = [f"small/{n % 20:02}/part-{n:05}.csv" for n in range(SMALL_BLOBS)]
                small += [f"rehearsal/again-{n}" for n in range(REHEARSED_BLOBS)]
                list(threads.map(lambda name: self._put(client, name, SMALL_BYTES), small))
                listed = [f"listed/{n % LISTED_FOLDERS:03}/name {n:05}.csv" for n in range(LISTED_BLOBS)]
                list(threads.map(lambda name: self._put_empty(client, name), listed))
            for size in SIZES:
                self._put(client, _large(size), size)
        (self.directory / "md5s.json").write_text(json.dumps(self.md5s))

    def _put(self, client: ContainerClient, name: str, size: int) -> None:
        original, md5 = self.original(name), hashlib.md5()
        with original.open("wb") as file:
            for start in range(0, size, PIECE_BYTES):
                piece = os.urandom(min(PIECE_BYTES, size - start))
                md5.update(piece)
                file.write(piece)
        settings = None
        if size <= MD5_UP_TO_BYTES:
            self.md5s[name] = md5.hexdigest()
            settings = ContentSettings(content_md5=bytearray(md5.digest()))
        with original.open("rb") as file:
            client.upload_blob(name, file, length=size, content_settings=settings, max_concurrency=4)
        self.sizes[name] = size

    def _put_empty(self, client: ContainerClient, name: str) -> None:
        client.upload_blob(name, b"")
        self.sizes[name] = 0

    def below(self, prefix: str) -> dict[str, int]:
        return {name: size for name, size in self.sizes.items() if name.startswith(prefix)}


class Task:
    """One thing to do, for every way the same. `path` is a blob's name or a prefix."""

    def __init__(self, container: Container, name: str, path: str) -> None:
        self._container = container
        self._name = name
        self._path = path
        self._out = container.directory / "out"
        self.environment = {
            **container.environment,
            "BENCH_TASK": name,
            "BENCH_PATH": path,
            "BENCH_OUT": str(self._out),
        }

    def scripts(self, ways: Mapping[str, str]) -> dict[str, Way]:
        return {
            name: lambda line=line: script(line, self.environment)  # type: ignore[misc]
            for name, line in ways.items()
        }

    def curl(self) -> Figures:
        file = str(self._out / self._container.original(self._path).name)
        url = f"{self._container.endpoint}/{CONTAINER}/{quote(self._path)}?{self._container.sas}"
        figures = process(["curl", "--silent", "--fail", "--output", file, url])
        if self._path in self._container.md5s and shutil.which("md5sum"):
            hashed = process(["md5sum", file])
            figures = {name: figures[name] + hashed[name] for name in figures}
        return figures

    def run(self, ways: Mapping[str, Way], rounds: int) -> Rounds:
        return run_rounds(ways, rounds, before=self._clear, check=self._check)

    def _clear(self) -> None:
        shutil.rmtree(self._out, ignore_errors=True)
        self._out.mkdir()

    def _check(self, name: str) -> None:
        check = {"all": self._right_list, "level": self._right_level}.get(self._name, self._right_files)
        if not check():
            raise AssertionError(f"{name} did not bring what is in {self._path}")

    def _right_files(self) -> bool:
        wanted = {self._container.original(name) for name in self._container.below(self._path)}
        return {file.name for file in self._out.iterdir()} == {file.name for file in wanted} and all(
            filecmp.cmp(file, self._out / file.name, shallow=False) for file in wanted
        )

    def _right_list(self) -> bool:
        listed = json.loads((self._out / "listed.json").read_text())
        return {name: size for name, size, _ in listed} == self._container.below(self._path) and all(
            self._container.filled_at - 2 <= modified <= time.time() for _, _, modified in listed
        )

    def _right_level(self) -> bool:
        listed = json.loads((self._out / "listed.json").read_text())
        folders = {name.rpartition("/")[0] + "/" for name in self._container.below(self._path)}
        return sorted(listed) == sorted(folders)
