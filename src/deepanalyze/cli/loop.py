"""The event loop that commands run in, and how they are stopped."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any


def run(main: Coroutine[Any, Any, None]) -> bool:
    """Runs a command until it is done (True) or until SIGINT or SIGTERM stops it (False).

    Stopping cancels it wherever it is, also while it starts, and waits: every block it is in closes what it opened.
    Raises what the command raises.
    """
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_stopped(main))


async def _until_stopped(main: Coroutine[Any, Any, None]) -> bool:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    working = asyncio.create_task(main)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    working.cancel()  # does nothing to what is done
    with contextlib.suppress(asyncio.CancelledError):
        await working
    stopping.cancel()
    return not stop.is_set()
