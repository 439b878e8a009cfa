"""Nothing of a sandbox outlives its server, however that ends."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import uuid
from pathlib import Path

import pytest

from deepanalyze.sandbox import KernelLimits, SandboxMode
from tests.support.sandbox import ISOLATIONS, made_workspace, processes_with, sandbox_or_skip, started_kernel

_PR_SET_CHILD_SUBREAPER = 36
_SERVER = """
import asyncio, sys
from pathlib import Path
from tests.support.sandbox import made_workspace, sandbox_or_skip

async def main():
    sandbox = await sandbox_or_skip(sys.argv[1])
    with made_workspace(Path(sys.argv[2])) as workspace:
        kernel = await sandbox.start_kernel(workspace)
        result = await kernel.execute(sys.argv[3], timeout_s=60)
        print(result.status, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""
# A child, and a grandchild in a session of its own whose parent is gone.
_SPREAD = """
import os, subprocess, sys, time
command = [sys.executable, '-S', '-c', 'import time; time.sleep(600)', {mark!r}]
subprocess.Popen(command)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(command[0], command)
    os._exit(0)
os.wait()
time.sleep(0.3)
"""


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_a_killed_server_leaves_no_process(isolation: SandboxMode, tmp_path: Path) -> None:
    await sandbox_or_skip(isolation)
    mark = f"mark-{uuid.uuid4().hex}"
    root = Path(__file__).parents[2]
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _SERVER, isolation, tmp_path, _SPREAD.format(mark=mark)),
        cwd=root,
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdout is not None
    async with asyncio.timeout(90):
        while (line := await server.stdout.readline()) != b"ok\n":
            assert line, "the server ended"
    server_itself = {server.pid}
    assert len(set(processes_with(mark)) - server_itself) >= 2
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    await _until_gone(mark)


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("end", ["close", "os._exit(1)"])
async def test_a_kernel_takes_everything_with_it(isolation: SandboxMode, end: str, tmp_path: Path) -> None:
    sandbox = await sandbox_or_skip(isolation)
    mark = f"mark-{uuid.uuid4().hex}"
    with made_workspace(tmp_path) as workspace:
        async with started_kernel(sandbox, workspace) as kernel:
            result = await kernel.execute(_SPREAD.format(mark=mark), timeout_s=60)
            assert result.status == "ok", result.output
            assert len(processes_with(mark)) >= 2
            if end != "close":
                await kernel.execute(end, timeout_s=60)
        assert not processes_with(mark) or await _until_gone(mark)


# Where a process namespace ends with its first process, less can go wrong.
@pytest.mark.parametrize("isolation", [pytest.param("bubblewrap", marks=pytest.mark.long), "landlock"])
async def test_a_fork_bomb_ends_with_its_kernel(isolation: SandboxMode, tmp_path: Path) -> None:
    sandbox = await sandbox_or_skip(isolation, KernelLimits(processes=40))
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    with made_workspace(tmp_path) as workspace:
        async with started_kernel(sandbox, workspace) as kernel:
            result = await kernel.execute(bomb, timeout_s=0.5)
            assert result.status in ("timeout", "died")
        async with started_kernel(sandbox, workspace) as kernel:
            assert (await kernel.execute("1", timeout_s=60)).output == "1\n"
    assert not processes_with(str(tmp_path)) or await _until_gone(str(tmp_path))


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_a_closed_kernel_leaves_process_1_nothing_to_reap(
    isolation: SandboxMode, tmp_path: Path
) -> None:
    """In a container process 1 is often the server itself, or a program that reaps nobody."""
    sandbox = await sandbox_or_skip(isolation)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        before = set(_dead_children())
        with made_workspace(tmp_path) as workspace:
            async with started_kernel(sandbox, workspace) as kernel:
                assert (await kernel.execute("1", timeout_s=60)).output == "1\n"
        assert not set(_dead_children()) - before
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _dead_children() -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                state, parent = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[:2]
                if state == "Z" and int(parent) == os.getpid():
                    found.append(int(entry))
    return found


async def _until_gone(mark: str) -> bool:
    async with asyncio.timeout(20):
        while processes_with(mark):  # noqa: ASYNC110 - others' processes are no event
            await asyncio.sleep(0.02)
    return True
