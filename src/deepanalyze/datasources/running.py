"""Work that ends with the connection it runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from deepanalyze.errors import SourceUnavailable

T = TypeVar("T")


class Running:
    """What runs now, so that `close` can end it without cancelling those who wait for it: they get `closed()`."""

    def __init__(self, closed: Callable[[], SourceUnavailable]) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False
        self._closed = closed

    async def run(self, operation: Coroutine[Any, Any, T]) -> T:
        if self._is_closed:
            operation.close()
            raise self._closed()
        task = asyncio.create_task(operation)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self._is_closed and caller is not None and not caller.cancelling():
                raise self._closed() from None
            raise

    async def close(self) -> None:
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a task group failed of, instead of the group around it."""
    first = failures.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
