"""A connection lent for one transaction, and the work that is done on it beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from deepanalyze.datasources.connectors.postgresql.connecting import Connection
from deepanalyze.datasources.connectors.postgresql.wire import Interrupted, Overdue, Wire
from deepanalyze.errors import QueryTimeout, SourceUnavailable

T = TypeVar("T")

_GRACE_S = 5.0  # given to the server to stop a query by itself before we hang up


class Lease:
    """Inside a transaction from `snapshot_at` (Unix seconds, by the server's clock) on; `snapshot` tells which
    transactions it sees.

    `delivered` once rows have come: what is done again from then on might give others.
    """

    def __init__(self, connection: Connection, threads: Executor, source: str, timeout_s: float) -> None:
        self.connection = connection
        self.snapshot_at = 0.0
        self.snapshot: str | None = None
        self.search_path: tuple[str, ...] = ()
        self.delivered = False
        self._threads = threads
        self._source = source
        self._timeout_s = timeout_s
        self._wire: Wire | None = None
        self._running: asyncio.Future[Any] | None = None

    @property
    def server_version(self) -> str:
        told = self.connection.pgconn.parameter_status(b"server_version")
        return (told or b"").decode()

    async def look_up(self, query: str, parameters: Mapping[str, Any]) -> list[TupleRow]:
        """For the guard, which asks in the same transaction."""
        found = await self.connection.execute(query, parameters or None)
        return await found.fetchall()

    async def in_thread(self, work: Callable[[Wire], T]) -> T:
        """Runs `work` beside the event loop. Cancelling this cancels the statement on the server, then hangs up."""
        wire = Wire(self.connection.pgconn, time.monotonic() + self._timeout_s + _GRACE_S)
        try:
            running = asyncio.get_running_loop().run_in_executor(self._threads, wire.run, work)
        except RuntimeError:  # its threads have ended
            wire.close()
            raise SourceUnavailable(f"source {self._source!r}: it was closed") from None
        self._wire, self._running = wire, running
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            wire.interrupt()
            await asyncio.shield(_ended(running, self.connection))
            raise
        except Interrupted:
            await _cancel(self.connection)
            raise SourceUnavailable(f"source {self._source!r}: it was closed") from None
        except Overdue:
            await _cancel(self.connection)
            raise QueryTimeout(
                f"source {self._source!r}: the server did not end the query within {self._timeout_s:g} s "
                "(query_timeout_s)"
            ) from None
        finally:
            self.delivered = self.delivered or wire.delivered

    def interrupt(self) -> None:
        if self._wire is not None:
            self._wire.interrupt()

    async def at_rest(self) -> None:
        """Also when the caller was cancelled twice and has gone: no thread uses the connection, the server no longer
        works for it.
        """
        if self._running is not None:
            await asyncio.wait([self._running])
        await _cancel(self.connection)


async def _ended(running: asyncio.Future[Any], connection: Connection) -> None:
    await asyncio.wait([running])
    if not running.cancelled():
        running.exception()  # the caller has gone, and with it who would want to know
    await _cancel(connection)


async def _cancel(connection: Connection) -> None:
    if connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
        with contextlib.suppress(psycopg.Error, OSError):
            await connection.cancel_safe(timeout=3)
