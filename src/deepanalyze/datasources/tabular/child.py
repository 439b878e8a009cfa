"""Reads tables in a child process with limits: for the package used without the server, which has a sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

from deepanalyze.datasources.tabular.protocol import (
    CPU_S,
    MAX_ANSWER_BYTES,
    MAX_FILE_BYTES,
    MEMORY_BYTES,
    PARALLEL_READERS,
    PARALLEL_SCRATCHES,
    TableTask,
    program,
)
from deepanalyze.datasources.temporary import make_directory, release_directory
from deepanalyze.datasources.undoing import made_in_thread

_LIMITS = {
    "DATA": MEMORY_BYTES,
    "FSIZE": MAX_FILE_BYTES,
    "CPU": CPU_S,
    "NOFILE": 256,
    "CORE": 0,
}
_ENVIRONMENT = {"LANG": "C.UTF-8", "ARROW_DEFAULT_MEMORY_POOL": "system"}


class ChildReader:
    """Implements `TableReader`. The process can read what its user can: what bounds it is that it does not ask to."""

    def __init__(self) -> None:
        self._scratches = asyncio.Semaphore(PARALLEL_SCRATCHES)
        self._running = asyncio.Semaphore(PARALLEL_READERS)

    @contextlib.asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        async with self._scratches:
            directory = await made_in_thread(make_directory, _remove)
            try:
                yield directory
            finally:
                await asyncio.shield(asyncio.to_thread(_remove, directory))

    async def read(self, file: Path, task: TableTask, *, timeout_s: float) -> bytes:
        command = [*program(sys.executable, file, task, module="alone"), json.dumps(_LIMITS)]
        async with self._running, asyncio.timeout(timeout_s):
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=DEVNULL,
                cwd=file.parent,
                env=_ENVIRONMENT,
                start_new_session=True,
            )
            try:
                return await _output(process)
            finally:
                await asyncio.shield(_end(process))


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    release_directory(directory)


async def _output(process: Process) -> bytes:
    """Nothing when there is too much of it, or it died while it spoke."""
    assert process.stdout is not None
    collected = bytearray()
    while part := await process.stdout.read(256 * 1024):
        collected += part
        if len(collected) > MAX_ANSWER_BYTES:
            return b""
    return bytes(collected) if await process.wait() == 0 else b""


async def _end(process: Process) -> None:
    """With whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
