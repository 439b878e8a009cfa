"""Copies: a file that appears complete or not at all, and is what the source's file was at one moment."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from deepanalyze.datasources.base import OnProgress, Progress
from deepanalyze.datasources.capabilities import Downloaded, Head
from deepanalyze.datasources.connectors.local_file.properties import etag_of
from deepanalyze.datasources.connectors.local_file.session import RootSession
from deepanalyze.datasources.connectors.local_file.tree import Tree
from deepanalyze.datasources.files import new_file
from deepanalyze.datasources.progress import ProgressThrottle
from deepanalyze.errors import Cancelled

_CHUNK_BYTES = 1024**2  # at a time, so that `close` never waits long


async def download(
    session: RootSession, path: str, destination: Path, *, max_bytes: int, on_progress: OnProgress | None
) -> Downloaded:
    status = await session.call(session.tree.file_status, path)
    if status.st_size > max_bytes:
        raise session.errors.too_large(path, status.st_size, max_bytes)
    await _copy(session, path, status, destination, status.st_size, on_progress)
    return Downloaded(status.st_size, etag_of(status))


async def head(session: RootSession, path: str, destination: Path, *, length: int) -> Head:
    status = await session.call(session.tree.file_status, path)
    wanted = min(length, status.st_size)
    await _copy(session, path, status, destination, wanted, None)
    return Head(wanted, status.st_size, etag_of(status))


async def _copy(
    session: RootSession,
    path: str,
    expected: os.stat_result,
    destination: Path,
    length: int,
    on_progress: OnProgress | None,
) -> None:
    progress = ProgressThrottle(on_progress)
    loop = asyncio.get_running_loop()
    with new_file(destination) as file:
        target = _Target(
            file.fileno(),
            lambda done: loop.call_soon_threadsafe(progress.report, Progress(done, total_bytes=length)),
        )
        try:
            await session.threads.run(
                partial(_copy_in_thread, session.tree, path, expected, target, length),
                progress=lambda: target.written,
            )
        finally:
            target.close()
    progress.finish(Progress(length, total_bytes=length))


def _copy_in_thread(tree: Tree, path: str, expected: os.stat_result, target: _Target, length: int) -> None:
    """Never more than `length`, which was allowed; what came behind it meanwhile is noticed at the end."""
    with tree.opened_file(path, expected) as descriptor:
        left = length
        while left and (data := _read(tree, path, descriptor, min(left, _CHUNK_BYTES))):
            target.write(data)
            left -= len(data)
        if left:
            raise tree.errors.changed(path)


def _read(tree: Tree, path: str, descriptor: int, count: int) -> bytes:
    with tree.errors.mapped("read", path):
        return os.read(descriptor, count)


class _Target:
    """Written by a thread. After `close` one that comes late writes nothing any more: by then the descriptor's number
    may belong to another file.
    """

    def __init__(self, descriptor: int, report: Callable[[int], object]) -> None:
        self._descriptor: int | None = descriptor
        self._report = report
        self._lock = threading.Lock()
        self.written = 0

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            with self._lock:
                if self._descriptor is None:
                    raise Cancelled("the copy was ended")
                count = os.write(self._descriptor, view)
            view = view[count:]
            self.written += count
        self._report(self.written)

    def close(self) -> None:
        with self._lock:
            self._descriptor = None
