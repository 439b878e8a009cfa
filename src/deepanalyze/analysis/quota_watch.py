"""Code that writes more than its user may keep is stopped while it writes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from deepanalyze.sandbox.base import Kernel
from deepanalyze.workspace import Workspace

_PAUSE_S = 1.0
_SHARE = 20  # measuring many files takes its time: at most a twentieth of all


@contextlib.asynccontextmanager
async def watched(kernel: Kernel, workspace: Workspace) -> AsyncIterator[None]:
    """Around a running block: interrupts it, and ends the kernel when it goes on all the same."""
    watching = asyncio.create_task(_watch(kernel, workspace))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def _watch(kernel: Kernel, workspace: Workspace) -> None:
    largest = (await asyncio.to_thread(workspace.measure)).size
    interrupted = False
    pause_s = _PAUSE_S
    while True:
        await asyncio.sleep(pause_s)
        started = time.monotonic()
        measured = await asyncio.to_thread(workspace.measure)
        pause_s = max(_PAUSE_S, _SHARE * (time.monotonic() - started))
        if measured.within_quota or measured.size <= largest:  # who makes room is let do so
            continue
        if interrupted:
            await kernel.close()
            return
        await kernel.interrupt()
        interrupted = True
        largest = measured.size
