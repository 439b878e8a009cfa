from __future__ import annotations

import asyncio
import threading

import pytest

from deepanalyze.datasources.undoing import made_in_thread


async def test_what_is_made_is_returned() -> None:
    assert await made_in_thread(lambda: 1, lambda _: pytest.fail("undone")) == 1


async def test_what_is_made_for_nobody_is_undone_before_that_is_told() -> None:
    going, go_on = asyncio.Event(), threading.Event()
    loop, undone = asyncio.get_running_loop(), []

    def make() -> str:
        loop.call_soon_threadsafe(going.set)
        go_on.wait(60)
        return "made"

    task = asyncio.create_task(made_in_thread(make, undone.append))
    await going.wait()
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert undone == ["made"]


async def test_what_could_not_be_made_is_not_undone() -> None:
    def make() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await made_in_thread(make, lambda _: pytest.fail("undone"))
