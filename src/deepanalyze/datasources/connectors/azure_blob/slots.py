"""How many requests run at a time, and who waits."""

from __future__ import annotations

import asyncio

from deepanalyze.datasources.capabilities import PoolStats


class Slots:
    """`async with slots:` around a request. An HTTP connection is opened for each where none is idle."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = asyncio.Semaphore(size)
        self._in_use = 0
        self._waiting = 0
        self._waited = 0

    async def __aenter__(self) -> None:
        if self._free.locked():
            self._waited += 1
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        self._in_use += 1

    async def __aexit__(self, *exc: object) -> None:
        self._in_use -= 1
        self._free.release()

    def stats(self) -> PoolStats:
        return PoolStats(
            in_use=self._in_use,
            idle=self._size - self._in_use,
            total=self._size,
            waiting=self._waiting,
            max_size=self._size,
            waited=self._waited,
        )
