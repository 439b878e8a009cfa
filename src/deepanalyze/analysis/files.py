"""Files that users upload: streamed to disk, private to their owner, there after a restart."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import structlog

from deepanalyze.accounts import Principal
from deepanalyze.analysis.paging import Page, decode_cursor, page
from deepanalyze.analysis.records import FileRepository, UploadedFile
from deepanalyze.audit import changing, note
from deepanalyze.errors import DeepAnalyzeError, FileTooLarge, InternalError, InvalidRequest, NotFound
from deepanalyze.workspace import DiskUsage
from deepanalyze.workspace.names import safe_parts

log = structlog.get_logger()

_PART_SUFFIX = ".part"
_PURPOSE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_NAMELESS = "upload"


class Files:
    """The bytes of a file lie in `directory` under its id; they are complete before the file's row exists."""

    def __init__(
        self,
        repository: FileRepository,
        directory: Path,
        *,
        max_bytes: int,
        usage: DiskUsage | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._repository = repository
        self._directory = directory
        self._max_bytes = max_bytes
        self._usage = usage or DiskUsage()
        self._clock = clock

    async def create(
        self, principal: Principal, filename: str, purpose: str, chunks: AsyncIterator[bytes]
    ) -> UploadedFile:
        """Raises FileTooLarge as soon as more than `max_bytes` have come, QuotaExceeded as soon as the user's are more
        than may be; nothing is kept then.
        """
        if not _PURPOSE.fullmatch(purpose):
            raise InvalidRequest(
                "purpose must be 1 to 64 letters, digits, - and _, such as assistants", param="purpose"
            )
        name = plain_name(filename)
        file_id = f"file-{secrets.token_hex(12)}"
        self._usage.register(file_id, principal.user_id)
        try:
            return await self._create(principal, file_id, name, purpose, chunks)
        except BaseException:
            self._usage.forget(file_id)
            raise

    async def _create(
        self, principal: Principal, file_id: str, name: str, purpose: str, chunks: AsyncIterator[bytes]
    ) -> UploadedFile:
        with changing("create", "file", file_id, filename=name, purpose=purpose) as facts:
            size = facts["bytes"] = await self._receive(file_id, name, chunks)
            file = UploadedFile(file_id, principal.user_id, name, size, purpose, int(self._clock()))
            try:
                await self._repository.add_file(file)
            except DeepAnalyzeError:
                await asyncio.to_thread(self._path(file_id).unlink)
                raise
        return file

    async def get(self, principal: Principal, file_id: str) -> UploadedFile:
        file = await self._repository.get_file(file_id)
        if file is None or file.owner_id != principal.user_id:
            if file is not None:
                note("find", "refused", object_type="file", object_id=file.id, code="not_found")
            raise NotFound(f"there is no file {file_id[:80]!r}")
        return file

    async def list(
        self,
        principal: Principal,
        *,
        purpose: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[UploadedFile]:
        records = await self._repository.list_files(
            principal.user_id, purpose=purpose, limit=limit + 1, before=decode_cursor(cursor)
        )
        return page(records, limit)

    def path(self, file: UploadedFile) -> Path:
        """Where its bytes lie, to be read only."""
        return self._path(file.id)

    async def delete(self, principal: Principal, file_id: str) -> None:
        file = await self.get(principal, file_id)
        await asyncio.shield(self._delete(file))  # wholly, also when the client goes away

    async def _delete(self, file: UploadedFile) -> None:
        with changing("delete", "file", file.id, filename=file.filename):
            await self._repository.delete_file(file.id)
        await asyncio.to_thread(self._path(file.id).unlink, missing_ok=True)
        self._usage.forget(file.id)

    async def forget(self, file_ids: Iterable[str]) -> None:
        """Removes the bytes of files whose rows are gone. What resists is removed at the next start."""
        for file_id in file_ids:
            try:
                await asyncio.to_thread(self._path(file_id).unlink, missing_ok=True)
                self._usage.forget(file_id)
            except OSError as error:
                log.warning("file could not be removed", file_id=file_id, error=str(error))

    async def take_stock(self) -> int:
        """Called once at start, before any upload: counts what there is, and removes what a crash left without a row.
        Returns how many it removed.
        """
        files = await self._repository.all_files()
        for file in files:
            self._usage.register(file.id, file.owner_id, file.bytes)
        removed = await asyncio.to_thread(self._remove_all_but, {file.id for file in files})
        if removed:
            log.info("incomplete uploads removed", files=removed)
        return removed

    async def _receive(self, file_id: str, name: str, chunks: AsyncIterator[bytes]) -> int:
        path, part = self._path(file_id), self._path(file_id + _PART_SUFFIX)
        size = 0
        with await asyncio.to_thread(part.open, "xb", buffering=0) as stream:
            try:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self._max_bytes:
                        raise self._too_large(name)
                    self._usage.add(file_id, len(chunk))
                    await _to_the_end(_write, stream, chunk)
                await _to_the_end(_complete, stream, part, path)
            except BaseException:  # a cancelled upload leaves nothing behind either
                part.unlink(missing_ok=True)
                path.unlink(missing_ok=True)
                raise
        return size

    def _path(self, name: str) -> Path:
        return self._directory / name

    def _too_large(self, name: str) -> FileTooLarge:
        return FileTooLarge(
            f"file {name!r} is larger than {self._max_bytes:,} bytes (max_file_bytes)", param="file"
        )

    def _remove_all_but(self, known: set[str]) -> int:
        orphans = [path for path in self._directory.iterdir() if path.name not in known]
        for path in orphans:
            path.unlink()
        return len(orphans)


def plain_name(filename: str) -> str:
    """The name without any directory part, as Unix and Windows write them, made safe to use as a file's name."""
    last = filename.replace("\\", "/").rpartition("/")[2]
    return _NAMELESS if last in ("", ".", "..") else safe_parts(last)[0]


async def _to_the_end(work: Callable[..., None], *arguments: object) -> None:
    """Runs in a thread and, also when cancelled, returns only after it: the thread holds a file that is closed next."""
    thread = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait([thread])
        raise


def _write(stream: IO[bytes], chunk: bytes) -> None:
    rest = memoryview(chunk)
    with _full_disk_told():
        while rest:
            rest = rest[stream.write(rest) :]


def _complete(stream: IO[bytes], part: Path, path: Path) -> None:
    """Once this returns, a power cut loses neither the bytes nor the name."""
    with _full_disk_told():
        os.fsync(stream.fileno())
        part.rename(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@contextmanager
def _full_disk_told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InternalError("the server's disk is full; the file was not stored") from error
