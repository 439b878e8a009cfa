"""A real sandbox for tests, in each way of isolating that this machine allows."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from deepanalyze.sandbox import Kernel, KernelLimits, Sandbox, SandboxMode, open_sandbox
from deepanalyze.sandbox.opening import UnavailableSandbox
from deepanalyze.workspace import Workspace, sandbox_uid

ISOLATIONS: list[SandboxMode] = ["bubblewrap", "landlock"]


async def sandbox_or_skip(
    mode: SandboxMode, limits: KernelLimits | None = None, *, preload: Sequence[str] = ()
) -> Sandbox:
    """Its kernels start without the large libraries, which take most of the time."""
    sandbox = await open_sandbox(mode, limits=limits or KernelLimits(), preload=preload)
    if isinstance(sandbox, UnavailableSandbox):
        pytest.skip(sandbox.isolation.weaker[0])
    return sandbox


@contextlib.contextmanager
def made_workspace(directory: Path, thread_id: str = "thread") -> Iterator[Workspace]:
    home = directory / thread_id
    # Of its own, as a real thread's id is: the end of a kernel is that of all its user's processes.
    uid = sandbox_uid(f"{home}-{secrets.token_hex(8)}")
    workspace = Workspace(home / "work", home / "staging", owner_uid=uid)
    workspace.create()
    try:
        yield workspace
    finally:
        workspace.delete()


@contextlib.asynccontextmanager
async def started_kernel(sandbox: Sandbox, workspace: Workspace) -> AsyncIterator[Kernel]:
    kernel = await sandbox.start_kernel(workspace)
    try:
        yield kernel
    finally:
        await kernel.close()


def processes_with(mark: str) -> list[int]:
    """Processes whose command line holds the mark."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in Path("/proc", entry, "cmdline").read_bytes():
                    found.append(int(entry))
    return found
