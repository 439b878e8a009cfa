"""Downloads: a file that appears complete or not at all, moved in ranges of bounded size."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from deepanalyze.datasources.base import DataItem, OnProgress, Progress
from deepanalyze.datasources.capabilities import Downloaded, Head
from deepanalyze.datasources.connectors.azure_blob.names import BlobRef, leads_out
from deepanalyze.datasources.connectors.azure_blob.properties import item_of
from deepanalyze.datasources.files import new_file
from deepanalyze.datasources.paths import printable
from deepanalyze.datasources.progress import ProgressThrottle
from deepanalyze.errors import FileTooLarge, SourceUnavailable, Stale

if TYPE_CHECKING:
    from deepanalyze.datasources.connectors.azure_blob.session import ContainerSession

_RANGE_BYTES = 4 * 1024**2
_RANGES_AT_ONCE = 4
_PIECE_BYTES = 1024**2  # at a time, so that `close` never waits long
_VERIFIED_BYTES = 100 * 1024**2  # larger blobs are compared with their MD5 only when the source says so


@dataclass(frozen=True, slots=True)
class KnownBlob:
    """What a download rests on: the bytes that the ETag stands for."""

    ref: BlobRef
    size: int
    etag: str
    md5: bytes | None

    @classmethod
    def of(cls, item: DataItem) -> Self | None:
        """None where the item does not tell enough, as when a listing left something out."""
        etag, md5, version = (item.metadata.get(name) for name in ("etag", "md5", "version"))
        if item.size is None or not etag:
            return None
        ref = BlobRef.parse(f"{item.path}?{version}" if version else item.path)
        return cls(ref, item.size, etag, b64decode(md5) if md5 else None)


@dataclass(frozen=True, slots=True)
class Downloads:
    """`verify` as in the source's config."""

    session: ContainerSession
    verify: bool | None

    async def whole(
        self, path: str, destination: Path, *, max_bytes: int, on_progress: OnProgress | None
    ) -> Downloaded:
        return await self._whole(await self._asked(path), destination, max_bytes, on_progress)

    async def listed(
        self, item: DataItem, destination: Path, *, max_bytes: int, on_progress: OnProgress | None
    ) -> Downloaded:
        known = KnownBlob.of(item)
        if known is not None:
            try:
                return await self._whole(known, destination, max_bytes, on_progress)
            except Stale:  # since it was listed; it is read as it is now
                if leads_out(item.path):
                    raise
        return await self.whole(item.path, destination, max_bytes=max_bytes, on_progress=on_progress)

    async def head(self, path: str, destination: Path, *, length: int) -> Head:
        known = await self._asked(path)
        wanted = min(length, known.size)
        await self._into(destination, _Transfer(self.session, known, wanted, ProgressThrottle(None)))
        return Head(wanted, known.size, known.etag)

    async def _whole(
        self, known: KnownBlob, destination: Path, max_bytes: int, on_progress: OnProgress | None
    ) -> Downloaded:
        self._check_size(known, max_bytes)
        expected = known.md5 if self._verifies(known) else None
        transfer = _Transfer(self.session, known, known.size, ProgressThrottle(on_progress), expected)
        await self._into(destination, transfer)
        return Downloaded(bytes=known.size, etag=known.etag)

    async def _asked(self, path: str) -> KnownBlob:
        known = KnownBlob.of(item_of(await self.session.properties(path)))
        if known is None:
            raise SourceUnavailable(
                f"source '{self.session.errors.source}': the service tells neither size nor ETag of blob "
                f"'{printable(path)}'"
            )
        return known

    async def _into(self, destination: Path, transfer: _Transfer) -> None:
        with new_file(destination) as file:
            await transfer.run(file.fileno())

    def _verifies(self, known: KnownBlob) -> bool:
        return known.size <= _VERIFIED_BYTES if self.verify is None else self.verify

    def _check_size(self, known: KnownBlob, max_bytes: int) -> None:
        if known.size > max_bytes:
            raise FileTooLarge(
                f"source '{self.session.errors.source}': blob '{printable(known.ref.path)}' has {known.size:,} bytes, "
                f"more than the limit of {max_bytes:,} (max_file_bytes); fetch a smaller file or raise the limit",
                details=[{"size": known.size, "limit": max_bytes}],
            )


class _Transfer:
    """Several ranges at a time, each bound to the ETag that the size was read with."""

    def __init__(
        self,
        session: ContainerSession,
        blob: KnownBlob,
        length: int,
        progress: ProgressThrottle,
        expected_md5: bytes | None = None,
    ) -> None:
        self._session = session
        self._blob = blob
        self._length = length
        self._progress = progress
        self._expected_md5 = expected_md5
        self._ranges = _ranges(length)
        self._done = 0

    async def run(self, descriptor: int) -> None:
        file = _SharedFile(descriptor)
        workers = min(_RANGES_AT_ONCE, -(-self._length // _RANGE_BYTES))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(file))
            await self._check(file)
        except BaseExceptionGroup as failures:
            raise _first(failures) from None
        finally:
            file.close()
        self._progress.finish(Progress(self._done, total_bytes=self._length))

    async def _work(self, file: _SharedFile) -> None:
        for start, length in self._ranges:
            await self._session.read_range(self._blob.ref, start, length, self._blob.etag, file.write)
            self._done += length
            self._progress.report(Progress(self._done, total_bytes=self._length))

    async def _check(self, file: _SharedFile) -> None:
        blob = f"source '{self._session.errors.source}': blob '{printable(self._blob.ref.path)}'"
        if file.written != self._length:
            raise SourceUnavailable(
                f"{blob}: {self._length:,} bytes were asked for, but {file.written:,} arrived; try again"
            )
        if self._expected_md5 is None:
            return
        if await self._session.in_thread(file.md5) != self._expected_md5:
            raise SourceUnavailable(
                f"{blob}: the bytes that arrived do not have the MD5 that the service keeps for them, so they are "
                "damaged or it was set wrongly; try again, or set verify to false to take them as they are"
            )


class _SharedFile:
    """Used by several threads. After `close` late threads of a cancelled download touch nothing any more: by then the
    descriptor's number may belong to another file.
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
                count = os.pwrite(self._descriptor, view[:_PIECE_BYTES], start)
                self.written += count
            view, start = view[count:], start + count

    def md5(self) -> bytes:
        digest, place = hashlib.md5(usedforsecurity=False), 0
        while True:
            with self._lock:
                piece = b"" if self._descriptor is None else os.pread(self._descriptor, _PIECE_BYTES, place)
            if not piece:
                return digest.digest()
            digest.update(piece)
            place += len(piece)

    def close(self) -> None:
        with self._lock:
            self._descriptor = None


def _ranges(size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(_RANGE_BYTES, size - start)) for start in range(0, size, _RANGE_BYTES))


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
