"""Brings what a request names into the thread's workspace, all of it at once."""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import time
from collections.abc import AsyncGenerator, Coroutine, Sequence
from pathlib import Path
from typing import Any

from deepanalyze.access import SourceAccess
from deepanalyze.analysis.conversation import DataFile
from deepanalyze.analysis.events import Fetch
from deepanalyze.analysis.files import Files
from deepanalyze.analysis.manifest import Manifest, load_manifest, record
from deepanalyze.analysis.request import AnalysisRequest, PlacedFile, PlacedReference
from deepanalyze.datasources.base import Progress
from deepanalyze.datasources.references import FetchedFile
from deepanalyze.errors import DeepAnalyzeError, FetchFailed
from deepanalyze.workspace import Workspace, WorkspaceFile

_MESSAGE = re.compile(r"messages\[(\d+)\]")


class Gathering:
    """Use `events` once; afterwards the properties tell what there is to work with."""

    def __init__(
        self, request: AnalysisRequest, workspace: Workspace, sources: SourceAccess, files: Files
    ) -> None:
        self._manifest = Manifest()
        self._news = Manifest()
        self._present: list[WorkspaceFile] = []
        self._request = request
        self._workspace = workspace
        self._sources = sources
        self._files = files
        self._queue: asyncio.Queue[Fetch | None] = asyncio.Queue()
        self._brought: dict[int, list[FetchedFile]] = {}
        self._failures: list[tuple[str, DeepAnalyzeError]] = []

    @property
    def fetched(self) -> tuple[FetchedFile, ...]:
        """In the order in which the request names them."""
        return tuple(file for _, files in sorted(self._brought.items()) for file in files)

    @property
    def files(self) -> Sequence[DataFile]:
        """All that lies in the workspace, also what earlier requests of the thread brought and made."""
        return self._manifest.describe(self._present)

    @property
    def truncated(self) -> Sequence[FetchedFile]:
        return self._manifest.truncated(self._present)

    async def events(self) -> AsyncGenerator[Fetch, None]:
        """Raises FetchFailed, with all that failed, once everything has ended. What did arrive is gone then, as it is
        after a cancellation: the same request brings it again, under the same names.
        """
        work = asyncio.create_task(self._gather())
        work.add_done_callback(lambda _: self._queue.put_nowait(None))
        try:
            while (event := await self._queue.get()) is not None:
                yield event
            await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        if self._failures:
            raise FetchFailed(sorted(self._failures, key=lambda failure: self._places.index(failure[0])))

    @property
    def _places(self) -> list[str]:
        request = self._request
        return [*(file.param for file in request.files), *(data.param for data in request.references)]

    async def _gather(self) -> None:
        self._manifest = await asyncio.to_thread(load_manifest, self._workspace)
        self._present = list(await asyncio.to_thread(self._workspace.list))
        jobs: list[Coroutine[Any, Any, None]] = [self._upload(placed) for placed in self._request.files]
        jobs += [self._fetch(n, placed) for n, placed in enumerate(self._request.references)]
        if not jobs:
            return
        try:
            await _all_of(jobs)
        except BaseException:
            await asyncio.to_thread(self._take_back)
            raise
        if self._failures:
            await asyncio.to_thread(self._take_back)
            return
        self._manifest = await asyncio.to_thread(record, self._workspace, self._news)
        self._present = list(await asyncio.to_thread(self._workspace.list))

    def _take_back(self) -> None:
        for name in (*self._news.fetched, *self._news.uploads.values()):
            self._workspace.remove(name)

    async def _fetch(self, index: int, placed: PlacedReference) -> None:
        if known := self._fetched_earlier(placed):
            self._brought[index] = known
            return
        loop = asyncio.get_running_loop()
        started = time.monotonic()

        def report(progress: Progress) -> None:  # in whatever thread the connector works
            loop.call_soon_threadsafe(self._tell, placed, progress, started)

        self._queue.put_nowait(Fetch(placed.param, placed.reference.source_id, "started"))
        try:
            files = await self._sources.fetch(
                self._request.principal, placed.reference, self._workspace, report
            )
        except DeepAnalyzeError as error:
            self._failures.append((placed.param, error))
            failed = Fetch(placed.param, placed.reference.source_id, "failed", error=error.message)
            self._queue.put_nowait(failed)
            return
        self._brought[index] = files
        self._news.add(placed.reference, files)
        self._queue.put_nowait(_done(placed, files, started))

    def _tell(self, placed: PlacedReference, progress: Progress, started: float) -> None:
        self._queue.put_nowait(
            Fetch(
                placed.param,
                placed.reference.source_id,
                "progress",
                bytes=progress.bytes,
                rows=progress.rows,
                total_bytes=progress.total_bytes,
                bytes_per_s=_rate(progress.bytes, started),
            )
        )

    def _fetched_earlier(self, placed: PlacedReference) -> list[FetchedFile]:
        """A client that sends the whole conversation again names old data again; it is still there."""
        message = _MESSAGE.match(placed.param)
        if message is None or int(message[1]) >= len(self._request.turns) - 1:
            return []
        there = {(file.name, file.size) for file in self._present}
        known = self._manifest.brought_by(placed.reference)
        return known if all((file.file, file.bytes) in there for file in known) else []

    async def _upload(self, placed: PlacedFile) -> None:
        if self._manifest.uploads.get(placed.file_id) in {file.name for file in self._present}:
            return
        try:
            file = await self._files.get(self._request.principal, placed.file_id)
            name = await asyncio.to_thread(self._adopt_copy, self._files.path(file), file.filename)
        except DeepAnalyzeError as error:
            self._failures.append((placed.param, error))
        else:
            self._news.uploads[placed.file_id] = name

    def _adopt_copy(self, path: Path, filename: str) -> str:
        staged = self._workspace.staging / f"upload-{secrets.token_hex(8)}"
        try:
            shutil.copyfile(path, staged)
            return self._workspace.adopt(staged, filename)
        finally:
            staged.unlink(missing_ok=True)


def _done(placed: PlacedReference, files: list[FetchedFile], started: float) -> Fetch:
    rows = [file.rows for file in files if file.rows is not None]
    size = sum(file.bytes for file in files)
    return Fetch(
        placed.param,
        placed.reference.source_id,
        "done",
        bytes=size,
        rows=sum(rows) if rows else None,
        bytes_per_s=_rate(size, started),
        files=tuple(files),
    )


def _rate(size: int, started: float) -> int | None:
    elapsed_s = time.monotonic() - started
    return round(size / elapsed_s) if elapsed_s > 0 else None


async def _all_of(jobs: list[Coroutine[Any, Any, None]]) -> None:
    """Like a task group, but what fails is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
