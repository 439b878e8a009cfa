"""Downloads: a file that appears complete or not at all, moved in ranges of bounded size."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepanalyze.datasources.base import OnProgress, Progress
from deepanalyze.datasources.capabilities import Downloaded, Head
from deepanalyze.datasources.files import atomic_file
from deepanalyze.datasources.paths import printable
from deepanalyze.datasources.progress import ProgressThrottle
from deepanalyze.errors import AlreadyExists, FileTooLarge, SourceUnavailable

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties

    from deepanalyze.datasources.connectors.azure_blob.session import ContainerSession

_RANGE_BYTES = 4 * 1024**2
_RANGES_AT_ONCE = 4
_WRITE_BYTES = 1024**2  # at a time, so that `close` never waits long


async def download(
    session: ContainerSession, name: str, destination: Path, *, max_bytes: int, on_progress: OnProgress | None
) -> Downloaded:
    if destination.exists():
        raise _taken(destination)
    properties = await session.properties(name)
    size, etag = properties.size, properties.etag
    _check_size(session, name, size, max_bytes)
    try:
        with atomic_file(destination) as file:
            await _Transfer(session, properties, file.fileno(), ProgressThrottle(on_progress), size).run()
    except FileExistsError:
        raise _taken(destination) from None
    return Downloaded(bytes=size, etag=etag)


async def head(session: ContainerSession, name: str, destination: Path, *, length: int) -> Head:
    if destination.exists():
        raise _taken(destination)
    properties = await session.properties(name)
    wanted = min(length, properties.size)
    try:
        with atomic_file(destination) as file:
            await _Transfer(session, properties, file.fileno(), ProgressThrottle(None), wanted).run()
    except FileExistsError:
        raise _taken(destination) from None
    return Head(wanted, properties.size, properties.etag)


def _taken(destination: Path) -> AlreadyExists:
    return AlreadyExists(f"there is a file named '{destination.name}' already; a download never replaces one")


def _check_size(session: ContainerSession, name: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise FileTooLarge(
            f"source '{session.errors.source}': blob '{printable(name)}' has {size:,} bytes, more than the limit of "
            f"{max_bytes:,} (max_file_bytes); fetch a smaller file or raise the limit",
            details=[{"size": size, "limit": max_bytes}],
        )


class _Transfer:
    """Several ranges at a time, each bound to the ETag that the size was read with."""

    def __init__(
        self,
        session: ContainerSession,
        blob: BlobProperties,
        descriptor: int,
        progress: ProgressThrottle,
        length: int,
    ) -> None:
        self._session = session
        self._blob = blob
        self._file = _SharedFile(descriptor)
        self._progress = progress
        self._length = length
        self._ranges = _ranges(length)
        self._done = 0

    async def run(self) -> None:
        workers = min(_RANGES_AT_ONCE, -(-self._length // _RANGE_BYTES))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work())
        except BaseExceptionGroup as failures:
            raise _first(failures) from None
        finally:
            self._file.close()
        if self._file.written != self._length:
            raise SourceUnavailable(
                f"source '{self._session.errors.source}': of blob '{printable(self._blob.name)}' {self._length:,} "
                f"bytes were asked for, but {self._file.written:,} arrived; try again"
            )
        self._progress.finish(Progress(self._done, total_bytes=self._length))

    async def _work(self) -> None:
        for start, length in self._ranges:
            await self._session.read_range(self._blob.name, start, length, self._blob.etag, self._file.write)
            self._done += length
            self._progress.report(Progress(self._done, total_bytes=self._length))


class _SharedFile:
    """Written by several threads. After `close` late threads of a cancelled download write nothing any more: by
    then the descriptor's number may belong to another file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        self._lock = threading.Lock()
        self.written = 0

    def write(self, start: int, data: Any) -> None:
        view = memoryview(data)
        while view:
            with self._lock:
                if self._descriptor is None:
                    return
                count = os.pwrite(self._descriptor, view[:_WRITE_BYTES], start)
                self.written += count
            view, start = view[count:], start + count

    def close(self) -> None:
        with self._lock:
            self._descriptor = None


def _ranges(size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(_RANGE_BYTES, size - start)) for start in range(0, size, _RANGE_BYTES))


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
