"""Reads tables from files of strangers behind the confinement that code runs in, without a network."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator
from pathlib import Path

from deepanalyze.datasources.tabular.protocol import (
    CPU_S,
    MAX_ANSWER_BYTES,
    MAX_FILE_BYTES,
    MEMORY_BYTES,
    PARALLEL_READERS,
    PARALLEL_SCRATCHES,
    PROGRAMS,
    TableTask,
    program,
)
from deepanalyze.errors import SandboxUnavailable
from deepanalyze.sandbox.base import KernelLimits
from deepanalyze.sandbox.environment import PythonEnvironment
from deepanalyze.sandbox.plan import Confinement
from deepanalyze.sandbox.process import SandboxedProcess
from deepanalyze.sandbox.runtime_dir import remove_runtime_dir
from deepanalyze.sandbox.spare import made_runtime_dir, spare_workspace
from deepanalyze.workspace import Workspace

LIMITS = KernelLimits(
    memory_mb=MEMORY_BYTES // 1024**2,
    processes=32,  # threads of the libraries
    file_bytes=MAX_FILE_BYTES,
    tmp_bytes=1024**2,  # it puts nothing there
    cpu_s=CPU_S,
)


class SandboxedTables:
    """Implements `TableReader`. Its interpreter is the server's own, which has the libraries."""

    def __init__(self, confinement: Confinement, server: PythonEnvironment) -> None:
        self._python = with_worker(server)
        self._confinement = confinement.for_program(self._python, LIMITS)
        self._scratches = asyncio.Semaphore(PARALLEL_SCRATCHES)
        self._running = asyncio.Semaphore(PARALLEL_READERS)
        self._workspaces: dict[Path, Workspace] = {}

    @contextlib.asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        async with self._scratches, spare_workspace() as workspace:
            self._workspaces[workspace.root] = workspace
            try:
                yield workspace.root
            finally:
                del self._workspaces[workspace.root]

    async def read(self, file: Path, task: TableTask, *, timeout_s: float) -> bytes:
        workspace = self._workspaces[file.parent]
        async with self._running, asyncio.timeout(timeout_s):
            if (uid := workspace.owner_uid) is not None:
                await asyncio.to_thread(os.chown, file, uid, uid, follow_symlinks=False)
            runtime = await made_runtime_dir({}, workspace)
            try:
                return await self._run(program(self._python.executable, file, task), workspace, runtime)
            finally:
                await asyncio.to_thread(remove_runtime_dir, runtime)

    async def _run(self, command: list[str], workspace: Workspace, runtime: Path) -> bytes:
        confined = await asyncio.to_thread(self._confinement.command, command, workspace, runtime)
        try:
            process = SandboxedProcess.start(confined, supervised=self._confinement.supervised)
        except OSError as error:
            raise SandboxUnavailable(f"the sandbox could not be started: {error.strerror}") from None
        try:
            output = await process.output(MAX_ANSWER_BYTES)
            complaint = "" if output else await process.complaint()
        finally:
            await process.close()
        if complaint:  # the program itself says nothing there
            raise SandboxUnavailable(f"the sandbox ended while it started: {complaint.splitlines()[-1]}")
        return output


class NoTables:
    """Where nothing can be isolated, files of strangers are not read either."""

    def __init__(self, message: str) -> None:
        self._message = message

    @contextlib.asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        raise SandboxUnavailable(self._message)
        yield Path()

    async def read(self, file: Path, task: TableTask, *, timeout_s: float) -> bytes:
        raise SandboxUnavailable(self._message)


def with_worker(python: PythonEnvironment) -> PythonEnvironment:
    """The environment and, where it lies elsewhere, the program."""
    if python.holds(PROGRAMS):
        return python
    return dataclasses.replace(python, directories=(*python.directories, str(PROGRAMS)))
