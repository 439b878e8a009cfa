"""Where blocking calls run."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from deepanalyze.errors import SourceUnavailable

T = TypeVar("T")


class Threads:
    """At most so many calls at a time, each in a thread of its own that ends with it.

    The system may let a call wait for ever, on a network mount for example. Who asked is told after `stall_s`; the
    thread holds its place until it ends, but neither the event loop nor, being a daemon, the end of the process.
    """

    def __init__(self, most: int, stall_s: float, stalled: Callable[[float], SourceUnavailable]) -> None:
        self._places = asyncio.Semaphore(most)
        self._stall_s = stall_s
        self._stalled = stalled
        self._advances = 0

    async def run(
        self,
        call: Callable[[], T],
        *,
        within_s: float | None = None,
        progress: Callable[[], int] | None = None,
    ) -> T:
        """Raises what the call raises. One that is cancelled goes on in its thread; nobody hears of it any more.

        Args:
            within_s: how long it may take without progress, instead of `stall_s`.
            progress: a figure that grows while it advances.
        """
        await self._place()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            done = _outcome(call)
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self._done, future, done)

        try:
            threading.Thread(target=work, name="local-file", daemon=True).start()
        except RuntimeError:  # no more threads on this machine
            self._places.release()
            raise
        await self._watch(future, within_s or self._stall_s, progress or int)
        return future.result()

    def _done(self, future: asyncio.Future[T], done: concurrent.futures.Future[T]) -> None:
        self._places.release()
        self._advances += 1
        failure = done.exception()
        if future.cancelled():
            return
        if failure is None:
            future.set_result(done.result())
        else:
            future.set_exception(failure)

    async def _watch(self, future: asyncio.Future[T], within_s: float, progress: Callable[[], int]) -> None:
        try:
            while not future.done():
                before = progress()
                await asyncio.wait({future}, timeout=within_s)
                if progress() != before:
                    self._advances += 1
                elif not future.done():
                    raise self._stalled(within_s)
        except BaseException:
            future.cancel()
            raise

    async def _place(self) -> None:
        """Waits as long as others advance."""
        patience_s = 2 * self._stall_s  # long enough for each of them to be looked at
        while True:
            before = self._advances
            try:
                async with asyncio.timeout(patience_s):
                    await self._places.acquire()
                    return
            except TimeoutError:
                if self._advances == before:
                    raise self._stalled(patience_s) from None


def _outcome(call: Callable[[], T]) -> concurrent.futures.Future[T]:
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
    try:
        outcome.set_result(call())
    except BaseException as caught:  # noqa: BLE001 - handed to who asked, who raises it
        outcome.set_exception(caught)
    return outcome
