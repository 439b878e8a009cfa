"""Work that belongs to a thread, besides its analyses: it ends when the thread does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from deepanalyze.errors import Cancelled

T = TypeVar("T")


class RunningWork:
    def __init__(self) -> None:
        self._tasks: dict[str, set[asyncio.Task[Any]]] = {}
        self._ended: set[asyncio.Task[Any]] = set()

    async def run(self, thread_id: str, work: Coroutine[Any, Any, T]) -> T:
        """What the work returns. Raises Cancelled when the thread was deleted meanwhile."""
        task = asyncio.create_task(work)
        self._tasks.setdefault(thread_id, set()).add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if task in self._ended:
                raise Cancelled("the thread was deleted meanwhile") from None
            raise
        finally:
            self._ended.discard(task)
            self._tasks[thread_id].discard(task)
            if not self._tasks[thread_id]:
                del self._tasks[thread_id]

    async def end(self, thread_id: str) -> None:
        """Returns when it has ended, and given back what it held."""
        tasks = self._tasks.get(thread_id, set()) - {asyncio.current_task()}
        for task in tasks:
            self._ended.add(task)
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
