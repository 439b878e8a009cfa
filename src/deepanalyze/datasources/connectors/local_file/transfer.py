"""Copies: a file that appears complete or not at all, and is what the source's file was at one moment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from deepanalyze.datasources.base import OnProgress, Progress
from deepanalyze.datasources.capabilities import Downloaded, Head
from deepanalyze.datasources.connectors.local_file.properties import etag_of
from deepanalyze.datasources.connectors.local_file.session import RootSession
from deepanalyze.datasources.connectors.local_file.tree import Tree
from deepanalyze.datasources.files import new_file
from deepanalyze.datasources.limits import check_file_size
from deepanalyze.datasources.progress import ProgressThrottle
from deepanalyze.datasources.shared_file import SharedFile

_CHUNK_BYTES = 1024**2


async def download(
    session: RootSession, path: str, destination: Path, *, max_bytes: int, on_progress: OnProgress | None
) -> Downloaded:
    status = await session.call(session.tree.file_status, path)
    check_file_size(session.source, path, status.st_size, max_bytes)
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

    def report(done: int) -> None:  # in the thread
        loop.call_soon_threadsafe(progress.report, Progress(done, total_bytes=length))

    with new_file(destination) as file:
        target = SharedFile(file.fileno())
        try:
            await session.threads.run(
                partial(_copy_in_thread, session.tree, path, expected, target, length, report),
                progress=lambda: target.written,
            )
        finally:
            target.close()
    progress.finish(Progress(length, total_bytes=length))


def _copy_in_thread(
    tree: Tree,
    path: str,
    expected: os.stat_result,
    target: SharedFile,
    length: int,
    report: Callable[[int], None],
) -> None:
    """Never more than `length`, which was allowed; what came behind it meanwhile is noticed at the end."""
    with tree.opened_file(path, expected) as descriptor:
        while left := length - target.written:
            data = _read(tree, path, descriptor, min(left, _CHUNK_BYTES))
            if not data:
                raise tree.errors.changed(path)
            target.write(target.written, data)
            report(target.written)


def _read(tree: Tree, path: str, descriptor: int, count: int) -> bytes:
    with tree.errors.mapped("read", path):
        return os.read(descriptor, count)
