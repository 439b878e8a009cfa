"""One SQLite file: how it is opened, read and written. Everything that is SQLite's own way is here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from deepanalyze.store.failures import store_errors
from deepanalyze.store.reserve import Reserve

T = TypeVar("T")

_CONNECTIONS = 5
_CHECKED_FOR_S = 5.0
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",  # readers never wait for the writer
    "PRAGMA synchronous = FULL",  # what was answered with success survives a power cut
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",  # what was deleted or encrypted anew leaves nothing in the file's free pages
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_size_limit = 67108864",
)


def make_engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        connect_args={"check_same_thread": False},  # a connection is used by one thread at a time
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_reset_on_return=None,  # transactions are always ended by Database
        hide_parameters=True,  # errors must not quote what was to be stored
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by rules of its own
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("writes", False):
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # never fails later for want of the write lock

    return engine


class Database:
    """Runs work in transactions: many readers beside one writer at a time. Each piece of work runs as a whole in a
    thread: going to and fro for each statement would take several times as long as SQLite itself.

    A cancelled caller stops waiting, but what was begun is completed, so no transaction is left half-way on a pooled
    connection.

    `reserve`: room on the disk for deletions.

    `users_gone`: users deleted since the start, whose requests may still be under way.
    """

    def __init__(self, engine: Engine, reserve: Reserve) -> None:
        self.reserve = reserve
        self._reader = engine
        self._writer = engine.execution_options(writes=True)
        self._threads = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="store")
        self._write_lock = asyncio.Lock()
        self.users_gone: set[str] = set()
        self._when_ended: list[Callable[[], None]] = []
        self._checked_at = -_CHECKED_FOR_S
        self._running: set[asyncio.Task[Any]] = set()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """For one statement: each sees the newest state, there is no transaction around several."""
        return await self._complete(self._in_thread(self._read, work))

    async def write(
        self, work: Callable[[Connection], T], *, around: AbstractContextManager[object] | None = None
    ) -> T:
        """Commits when `work` returns, rolls back when it raises. `around` is entered before and left, with what was
        raised, after that, also when the caller is gone.
        """

        async def run() -> T:
            with around or nullcontext():
                async with self._write_lock:
                    try:
                        return await self._in_thread(self._write, work)
                    finally:
                        while self._when_ended:
                            self._when_ended.pop()()

        return await self._complete(run())

    def when_ended(self, call: Callable[[], None]) -> None:
        """Only within the `work` of a write: `call` follows on the event loop when its transaction has ended, either
        way, and before anyone learns of it.
        """
        self._when_ended.append(call)

    async def check(self) -> None:
        """Raises InternalError when nothing can be written; asked of the disk anew some seconds after it could."""
        if time.monotonic() - self._checked_at >= _CHECKED_FOR_S:
            mark = int(time.time()) & 0x7FFFFFFF  # another than before, or SQLite would write nothing
            await self.write(lambda c: c.exec_driver_sql(f"PRAGMA user_version = {mark}"))
            self._checked_at = time.monotonic()

    async def close(self) -> None:
        """Waits for what cancelled callers left running."""
        while self._running:
            await asyncio.wait(self._running)
        self._threads.shutdown()
        self._reader.dispose()

    async def _complete(self, running: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(running)
        self._running.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when the caller is gone

    async def _in_thread(
        self, run: Callable[[Callable[[Connection], T]], T], work: Callable[[Connection], T]
    ) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, run, work)

    def _read(self, work: Callable[[Connection], T]) -> T:
        with store_errors(), self._reader.connect() as connection:
            return work(connection)

    def _write(self, work: Callable[[Connection], T]) -> T:
        with store_errors(), self._writer.begin() as connection:
            return work(connection)
