"""Workspaces and runtime directories for programs that belong to no thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from deepanalyze.sandbox.runtime_dir import make_directory, make_runtime_dir, remove_runtime_dir
from deepanalyze.workspace import Workspace, sandbox_uid


@contextlib.asynccontextmanager
async def spare_workspace() -> AsyncIterator[Workspace]:
    directory = await asyncio.to_thread(make_directory)
    # A user of its own: when a supervisor ends, so does everything else of its user.
    uid = sandbox_uid(directory.name)
    workspace = Workspace(directory / "work", directory / "staging", owner_uid=uid)
    try:
        workspace.create()
        yield workspace
    finally:
        await asyncio.to_thread(workspace.delete)
        directory.rmdir()


async def made_runtime_dir(files: Mapping[str, bytes], workspace: Workspace) -> Path:
    making = asyncio.ensure_future(asyncio.to_thread(make_runtime_dir, files, workspace.owner_uid))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        await asyncio.to_thread(remove_runtime_dir, await making)
        raise
