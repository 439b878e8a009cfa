"""Workspaces and runtime directories for programs that belong to no thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from deepanalyze.datasources.temporary import make_directory, release_directory
from deepanalyze.datasources.undoing import made_in_thread
from deepanalyze.sandbox.runtime_dir import PASSABLE, make_runtime_dir, remove_runtime_dir
from deepanalyze.workspace import Workspace, sandbox_uid


@contextlib.asynccontextmanager
async def spare_workspace() -> AsyncIterator[Workspace]:
    workspace = await made_in_thread(_made, _remove)
    try:
        yield workspace
    finally:
        await asyncio.shield(asyncio.to_thread(_remove, workspace))


def _made() -> Workspace:
    directory = make_directory(PASSABLE)
    # A user of its own: when a supervisor ends, so does everything else of its user.
    uid = sandbox_uid(directory.name)
    workspace = Workspace(directory / "work", directory / "staging", owner_uid=uid)
    try:
        workspace.create()
    except BaseException:
        _remove(workspace)
        raise
    return workspace


def _remove(workspace: Workspace) -> None:
    workspace.delete()
    workspace.root.parent.rmdir()
    release_directory(workspace.root.parent)


async def made_runtime_dir(files: Mapping[str, bytes], workspace: Workspace) -> Path:
    return await made_in_thread(lambda: make_runtime_dir(files, workspace.owner_uid), remove_runtime_dir)
