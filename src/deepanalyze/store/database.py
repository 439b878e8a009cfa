"""One SQLite file: how it is opened, read and written. Everything that is SQLite's own way is here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from deepanalyze.store.failures import store_errors

T = TypeVar("T")

_CONNECTIONS = 5
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",  # readers never wait for the writer
    "PRAGMA synchronous = FULL",  # what was answered with success survives a power cut
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",  # what was deleted or encrypted anew leaves nothing in the file's free pages
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_size_limit = 67108864",
)


def make_engine(path: Path) -> AsyncEngine:
    url = URL.create("sqlite+aiosqlite", database=str(path))
    engine = create_async_engine(
        url,
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=60,
        pool_reset_on_return=None,  # transactions are always ended by Database
        hide_parameters=True,  # errors must not quote what was to be stored
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by rules of its own
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("writes", False):
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # never fails later for want of the write lock

    return engine


class Database:
    """Runs work in transactions: many readers beside one writer at a time.

    A cancelled caller stops waiting, but what was begun is completed, so no transaction is left half-way on a pooled
    connection.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._reader = engine
        self._writer = engine.execution_options(writes=True)
        self._write_lock = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """For one statement: each sees the newest state, there is no transaction around several."""
        return await self._complete(work, self._read)

    async def write(
        self, work: Callable[[Connection], T], *, around: AbstractContextManager[object] | None = None
    ) -> T:
        """Commits when `work` returns, rolls back when it raises. `around` is entered before and left, with what was
        raised, after that, also when the caller is gone.
        """

        async def run(work: Callable[[Connection], T]) -> T:
            with around or nullcontext():
                return await self._write(work)

        return await self._complete(work, run)

    async def settle(self) -> None:
        """Waits for what cancelled callers left running."""
        while self._running:
            await asyncio.wait(self._running)

    async def _complete(self, work: Callable[[Connection], T], run: Callable[..., Any]) -> T:
        task: asyncio.Task[T] = asyncio.create_task(run(work))
        self._running.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when the caller is gone

    async def _read(self, work: Callable[[Connection], T]) -> T:
        with store_errors():
            async with self._reader.connect() as connection:
                return await connection.run_sync(work)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        async with self._write_lock:
            with store_errors():
                async with self._writer.begin() as connection:
                    return await connection.run_sync(work)
