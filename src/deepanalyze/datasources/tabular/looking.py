"""Looks into files of a source: brings as much of one as is needed, and has it read."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from deepanalyze.datasources.base import OnProgress
from deepanalyze.datasources.capabilities import Downloaded, Head, Statistics, Table
from deepanalyze.datasources.limits import SourceDefaults
from deepanalyze.datasources.tabular.answers import (
    Answer,
    FileLabel,
    NeedsMore,
    died,
    statistics_of,
    table_of,
    understood,
)
from deepanalyze.datasources.tabular.protocol import TableTask
from deepanalyze.datasources.tabular.table_worker.formats import SIGNATURE_BYTES, guess
from deepanalyze.errors import InvalidRequest, QueryTimeout

MAX_ROWS = 1_000
HEAD_BYTES = 1024**2  # holds a thousand rows of a thousand bytes, and arrives in one request
_MORE = 8  # times as much, when it was not enough

_FILE = "data"


class Files(Protocol):
    """What is needed of a source."""

    defaults: SourceDefaults

    async def head(self, path: str, destination: Path, *, length: int) -> Head: ...

    async def download(
        self, path: str, destination: Path, *, max_bytes: int, on_progress: OnProgress | None = None
    ) -> Downloaded: ...


async def preview(files: Files, label: FileLabel, *, limit: int) -> Table:
    """Of text the beginning is enough, more and more of it until it holds rows enough; all else is read whole."""
    if not 1 <= limit <= MAX_ROWS:
        raise InvalidRequest(f"limit must be from 1 to {MAX_ROWS}, not {limit}", param="limit")
    length: int | None = HEAD_BYTES
    while length is not None and length < files.defaults.limits.max_file_bytes:
        try:
            return table_of(label, await _beginning(files, label, limit, length))
        except NeedsMore as more:
            length = None if more.whole else _MORE * length
    return table_of(label, await _whole(files, label, TableTask(label.name, "preview", limit)))


async def statistics(files: Files, label: FileLabel) -> Statistics:
    return statistics_of(label, await _whole(files, label, TableTask(label.name, "statistics")))


async def _beginning(files: Files, label: FileLabel, limit: int, length: int) -> Answer:
    """Raises NeedsMore when that much of the file is not enough."""
    async with files.defaults.tables.scratch() as directory:
        file = directory / _FILE
        head = await files.head(label.path, file, length=length)
        complete = head.bytes >= head.size
        if not complete and not await asyncio.to_thread(_readable_from_head, label.name, file):
            raise NeedsMore(whole=True)
        return await _read(files, label, file, TableTask(label.name, "preview", limit, complete))


async def _whole(files: Files, label: FileLabel, task: TableTask) -> Answer:
    """Raises FileTooLarge when it is larger than files may be."""
    async with files.defaults.tables.scratch() as directory:
        file = directory / _FILE
        await files.download(label.path, file, max_bytes=files.defaults.limits.max_file_bytes)
        try:
            return await _read(files, label, file, task)
        except NeedsMore:
            raise died(label) from None


async def _read(files: Files, label: FileLabel, file: Path, task: TableTask) -> Answer:
    timeout_s = files.defaults.timeouts.query_s
    try:
        output = await files.defaults.tables.read(file, task, timeout_s=timeout_s)
    except TimeoutError:
        raise QueryTimeout(
            f"{label} was not read within {timeout_s:g} s (query_timeout_s); raise the limit, or use a smaller file"
        ) from None
    return await asyncio.to_thread(understood, label, output)


def _readable_from_head(name: str, file: Path) -> bool:
    with file.open("rb") as opened:
        return guess(name, opened.read(SIGNATURE_BYTES)).readable_from_head
