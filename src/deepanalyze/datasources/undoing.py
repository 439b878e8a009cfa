"""Making something in a thread so that it is not forgotten when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


async def made_in_thread(
    make: Callable[[], T], undo: Callable[[T], object], executor: Executor | None = None
) -> T:
    """What `make` returns. When the caller is cancelled meanwhile, it is undone, in a thread too, before that is
    told.
    """
    making = asyncio.get_running_loop().run_in_executor(executor, make)
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):  # it was not made
            await asyncio.to_thread(undo, await making)
        raise
