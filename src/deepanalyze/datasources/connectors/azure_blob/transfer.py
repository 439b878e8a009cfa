"""Downloads: a file that appears complete or not at all, moved in ranges of bounded size."""

from __future__ import annotations

import asyncio
import contextlib
import time
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
from deepanalyze.datasources.limits import check_file_size
from deepanalyze.datasources.paths import printable
from deepanalyze.datasources.progress import ProgressThrottle
from deepanalyze.datasources.running import first_of
from deepanalyze.datasources.shared_file import SharedFile
from deepanalyze.errors import SourceUnavailable, Stale

if TYPE_CHECKING:
    from deepanalyze.datasources.connectors.azure_blob.session import ContainerSession, Read

_RANGES_AT_ONCE = 4
_REPORTED_S = 0.1
_LOOKED_AT_S, _FAST_BYTES_PER_S = 0.25, 100e6
_MIN_RANGE_BYTES, _MAX_RANGE_BYTES = 4 * 1024**2, 256 * 1024**2
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
        return cls(ref, item.size, etag, _decoded(md5) if md5 else None)


def _decoded(md5: str) -> bytes | None:
    try:
        return b64decode(md5, validate=True)
    except ValueError:  # nothing to compare with
        return None


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
        check_file_size(self.session.errors.source, known.ref.path, known.size, max_bytes)
        expected = known.md5 if self._verifies(known) else None
        if known.size <= _MIN_RANGE_BYTES and await self._at_once(known, destination, expected):
            ProgressThrottle(on_progress).finish(Progress(known.size, total_bytes=known.size))
            return Downloaded(bytes=known.size, etag=known.etag)
        transfer = _Transfer(self.session, known, known.size, ProgressThrottle(on_progress), expected)
        await self._into(destination, transfer)
        return Downloaded(bytes=known.size, etag=known.etag)

    async def _at_once(self, known: KnownBlob, destination: Path, expected_md5: bytes | None) -> bool:
        """All of a small blob in one turn of a thread, since every turn costs as much as the blob itself."""

        def bring(read: Read) -> bool:
            with contextlib.suppress(_Incomplete), new_file(destination, buffering=0) as file:
                shared = SharedFile(file.fileno(), hashed=expected_md5 is not None)
                if read(0, known.size, known.etag, shared.write) != known.size:
                    raise _Incomplete
                if expected_md5 is not None and shared.md5() != expected_md5:
                    raise damaged(self.session.errors.source, known.ref)
                return True
            return False

        def undo(brought: bool) -> None:
            if brought:
                destination.unlink(missing_ok=True)

        return known.size > 0 and await self.session.at_once(known.ref, bring, undo)

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


class _Incomplete(Exception):
    """Not all of it arrived; it is read again in another way."""


def damaged(source: str, blob: BlobRef) -> SourceUnavailable:
    return SourceUnavailable(
        f"source '{source}': blob '{printable(blob.path)}': the bytes that arrived do not have the MD5 that the "
        "service keeps for them, so they are damaged or it was set wrongly; try again, or set verify to false to take "
        "them as they are"
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
        self._next_report = 0.0

    async def run(self, descriptor: int) -> None:
        file = SharedFile(descriptor, hashed=self._expected_md5 is not None)
        try:
            await self._bring(file)
            await self._check(file)
        except BaseExceptionGroup as failures:
            raise first_of(failures) from None
        finally:
            file.close()
        self._progress.finish(Progress(self._length, total_bytes=self._length))

    async def _bring(self, file: SharedFile) -> None:
        """One range after the other where that is fast, as several at once cost twice the CPU; more of them at once as
        long as they are slow, because what is far away gives each of them only so much.
        """
        if self._length <= _MIN_RANGE_BYTES:  # without what a group costs, which counts where blobs are many
            await self._work(file)
            return
        async with asyncio.TaskGroup() as group:
            workers = {group.create_task(self._work(file))}
            while len(workers) < _RANGES_AT_ONCE:
                before = file.written
                done, _ = await asyncio.wait(workers, timeout=_LOOKED_AT_S)
                if done:  # there are no more ranges, or it failed
                    break
                if file.written - before < _FAST_BYTES_PER_S * _LOOKED_AT_S:
                    workers.add(group.create_task(self._work(file)))

    async def _work(self, file: SharedFile) -> None:
        loop = asyncio.get_running_loop()

        def write(start: int, data: Any) -> None:  # in a worker thread
            file.write(start, data)
            # Waking the loop for each piece would cost the most
            if (now := time.monotonic()) > self._next_report:
                self._next_report = now + _REPORTED_S
                loop.call_soon_threadsafe(self._report, file)

        for start, length in self._ranges:
            await self._session.read_range(self._blob.ref, start, length, self._blob.etag, write)

    def _report(self, file: SharedFile) -> None:
        self._progress.report(Progress(file.written, total_bytes=self._length))

    async def _check(self, file: SharedFile) -> None:
        blob = f"source '{self._session.errors.source}': blob '{printable(self._blob.ref.path)}'"
        if file.written != self._length:
            raise SourceUnavailable(
                f"{blob}: {self._length:,} bytes were asked for, but {file.written:,} arrived; try again"
            )
        if self._expected_md5 is None:
            return
        if await asyncio.to_thread(file.md5) != self._expected_md5:
            raise damaged(self._session.errors.source, self._blob.ref)


def _ranges(size: int) -> Iterator[tuple[int, int]]:
    """As few as keep all requests busy: each new one costs the time of the way there and back."""
    length = min(max(-(-size // _RANGES_AT_ONCE), _MIN_RANGE_BYTES), _MAX_RANGE_BYTES)
    return ((start, min(length, size - start)) for start in range(0, size, length))
