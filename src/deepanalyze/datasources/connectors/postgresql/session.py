"""Connections of one source: pooled, lent for one transaction each, made as they were before they are lent again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NoReturn, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from deepanalyze.datasources.capabilities import PoolStats
from deepanalyze.datasources.connectors.postgresql import transaction
from deepanalyze.datasources.connectors.postgresql.config import PostgresConfig
from deepanalyze.datasources.connectors.postgresql.connecting import Connecting, Connection, retrying
from deepanalyze.datasources.connectors.postgresql.errors import is_transient, postgres_errors
from deepanalyze.datasources.connectors.postgresql.lease import Lease
from deepanalyze.datasources.connectors.postgresql.parameters import Parameters
from deepanalyze.datasources.limits import SourceDefaults
from deepanalyze.errors import Busy, SourceUnavailable

T = TypeVar("T")

_CLEAN_UP_S = 5.0
_GRACE_S = 10.0  # for what has its own time limit, to end by it
_LOOK_UP_THE_REASON_S = 1.0  # after which one who waits for a connection asks why none can be made


class Sessions:
    """Opened and closed by the connector; everything else of it may be used from many tasks at once."""

    def __init__(self, config: PostgresConfig, defaults: SourceDefaults, source: str) -> None:
        self._config = config
        self._defaults = defaults
        self._source = source
        self._connect_timeout_s = config.connect_timeout_s or defaults.timeouts.connect_s
        self._max_size = config.pool_max_size or defaults.pool.max_size
        wanted = defaults.pool.min_size if config.pool_min_size is None else config.pool_min_size
        self._min_size = min(wanted, self._max_size)
        self._parameters = Parameters(
            config, defaults.network, source, connect_timeout_s=self._connect_timeout_s
        )
        self._connecting = Connecting(self._parameters, defaults.retries, source, self._connect_timeout_s)
        self._resources = contextlib.AsyncExitStack()
        self._pool: AsyncConnectionPool[Connection] | None = None
        self._lent: set[Lease] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self.behind_pooler = False

    async def open(self) -> None:
        """Proves with one connection that the source can be reached, so that what is wrong is told in its own words."""
        async with contextlib.AsyncExitStack() as resources:
            await resources.enter_async_context(self._parameters)
            async with self._connecting.separate() as connection:
                with postgres_errors(self._source):
                    self.behind_pooler = await _is_pooled(connection)
            threads = ThreadPoolExecutor(self._max_size, thread_name_prefix="postgresql")
            resources.callback(threads.shutdown, wait=False)
            pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
                kwargs=self._parameters,
                connection_class=Connection,
                min_size=self._min_size,
                max_size=self._max_size,
                open=False,
                configure=self._configure,
                check=AsyncConnectionPool.check_connection,
                timeout=self._defaults.timeouts.acquire_s,
                max_idle=self._defaults.pool.idle_timeout_s,
                max_lifetime=self._defaults.pool.max_lifetime_s,
                reconnect_timeout=self._connect_timeout_s,
                name=f"source {self._source}",
            )
            await pool.open(wait=False)
            resources.push_async_callback(pool.close, timeout=_CLEAN_UP_S)
            self._pool, self._threads = pool, threads
            self._resources = resources.pop_all()

    async def close(self) -> None:
        self._pool = None
        for lease in self._lent:
            lease.interrupt()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await self._resources.aclose()

    def pool_stats(self) -> PoolStats | None:
        if self._pool is None:
            return None
        told = self._pool.get_stats()
        total, idle = told.get("pool_size", 0), told.get("pool_available", 0)
        return PoolStats(
            in_use=len(self._lent),
            idle=idle,
            total=total,
            waiting=told.get("requests_waiting", 0),
            max_size=self._max_size,
            min_size=self._min_size,
            opened=told.get("connections_num", 0),
            failed=told.get("connections_errors", 0),
            waited=told.get("requests_queued", 0),
            timed_out=told.get("requests_errors", 0),
        )

    def separate(self) -> AbstractAsyncContextManager[Connection]:
        """A connection outside of the pool, in autocommit mode, for what no other work should ever share."""
        return self._connecting.separate()

    async def run(self, work: Callable[[Lease], Awaitable[T]], timeout_s: float | None = None) -> T:
        """What `work` makes of a reading transaction. A connection that is lost before it gave rows is replaced and
        `work` done again, as often as the retry policy says and within one time limit for all attempts.
        """
        limit_s = self.time_limit(timeout_s)
        deadline = time.monotonic() + limit_s
        delivered = False

        def again(error: BaseException) -> bool:
            return not delivered and is_transient(error)

        async with self._bounded(limit_s):
            async for attempt in retrying(self._defaults.retries, again, limit_s):
                with attempt:
                    left_s = max(0.001, deadline - time.monotonic())
                    async with self._lend(left_s, writing=False) as lease:
                        try:
                            return await work(lease)
                        finally:
                            delivered = lease.delivered
        raise AssertionError("retrying either returns or raises")

    @asynccontextmanager
    async def reading(self, timeout_s: float | None = None) -> AsyncIterator[Lease]:
        """A connection inside a READ ONLY transaction, whose statements the server stops at their time limit.

        It goes back to the pool clean, or not at all.
        """
        limit_s = self.time_limit(timeout_s)
        async with self._bounded(limit_s), self._lend(limit_s, writing=False) as lease:
            yield lease

    @asynccontextmanager
    async def writing(self, timeout_s: float | None = None) -> AsyncIterator[Lease]:
        """A READ WRITE transaction that is committed when the block ends well. Never tried again: nobody could tell
        whether a connection was lost before or after the commit.
        """
        limit_s = self.time_limit(timeout_s)
        async with self._bounded(limit_s), self._lend(limit_s, writing=True) as lease:
            yield lease
            await self._commit(lease)

    async def _commit(self, lease: Lease) -> None:
        try:
            await lease.connection.execute("COMMIT")
        except psycopg.OperationalError as error:
            if error.sqlstate is not None and not error.sqlstate.startswith(("08", "57P")):
                raise
            raise SourceUnavailable(
                f"source {self._source!r}: the connection was lost while the write was being committed; it may or may "
                "not have been. Look before you repeat it"
            ) from error

    def time_limit(self, wanted_s: float | None = None) -> float:
        """The request's, else the source's, else the server's; never above the ceiling."""
        timeouts = self._defaults.timeouts
        own_s = self._config.query_timeout_s or timeouts.query_s
        return min(wanted_s or own_s, timeouts.query_ceiling_s)

    @asynccontextmanager
    async def _bounded(self, limit_s: float) -> AsyncIterator[None]:
        """Errors in our words, and an end also when the server falls silent: nothing else would end the wait for it."""
        bound_s = self._defaults.timeouts.acquire_s + limit_s + _GRACE_S
        with postgres_errors(self._source, timeout_s=limit_s):
            try:
                async with asyncio.timeout(bound_s):
                    yield
            except TimeoutError:
                raise SourceUnavailable(
                    f"source {self._source!r}: {self._parameters.place} stopped answering; given up after {bound_s:g} s"
                ) from None

    @asynccontextmanager
    async def _lend(self, timeout_s: float, *, writing: bool) -> AsyncIterator[Lease]:
        connection = await self._acquire()
        lease = Lease(connection, self._threads, self._source, timeout_s)
        self._lent.add(lease)
        try:
            wanted = self._config.search_path or self._config.schemas
            began = await connection.execute(transaction.begin(timeout_s, wanted, writing=writing))
            lease.snapshot_at, lease.snapshot, path = await _last_row(began)
            lease.search_path = tuple(path)
            yield lease
        finally:
            self._lent.discard(lease)
            await asyncio.shield(self._give_back(lease))

    async def _acquire(self) -> Connection:
        pool = self._pool
        if pool is None:
            raise SourceUnavailable(f"source {self._source!r}: it is not connected")
        failures = pool.get_stats().get("connections_errors", 0)
        getting = asyncio.create_task(pool.getconn())
        taken = False
        try:
            patience_s = self._defaults.timeouts.acquire_s
            await asyncio.wait([getting], timeout=min(_LOOK_UP_THE_REASON_S, patience_s))
            if not getting.done() and pool.get_stats().get("connections_errors", 0) > failures:
                await self._connecting.probe()
            await asyncio.wait([getting], timeout=patience_s)
            if not getting.done():  # the pool asks a connection whether it still lives, and waits for ever
                await self._tell_why(pool, failures)
            connection, taken = getting.result(), True
            return connection
        except PoolClosed:
            raise SourceUnavailable(f"source {self._source!r}: it was closed") from None
        except PoolTimeout:
            await self._tell_why(pool, failures)
        finally:
            if not taken:
                self._leave(getting, pool)

    def _leave(self, getting: asyncio.Task[Connection], pool: AsyncConnectionPool[Connection]) -> None:
        leaving = asyncio.create_task(_returned(getting, pool))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _tell_why(self, pool: AsyncConnectionPool[Connection], failures: int) -> NoReturn:
        """`failures`: how many attempts to connect had failed when the wait began."""
        stats = pool.get_stats()
        failed = stats.get("connections_errors", 0) > failures
        if stats.get("pool_size", 0) < self._max_size or failed or not self._lent:
            await self._connecting.probe()
        waited_s = self._defaults.timeouts.acquire_s
        raise Busy(
            f"source {self._source!r}: none of its {self._max_size} connections came free within {waited_s:g} s; try "
            "again, or raise pool_max_size",
            retry_after_s=waited_s,
        ) from None

    async def _give_back(self, lease: Lease) -> None:
        await lease.at_rest()
        connection = lease.connection
        if not await self._made_as_before(connection):
            await connection.close()
        if self._pool is not None:
            await self._pool.putconn(connection)
        else:
            await connection.close()

    async def _made_as_before(self, connection: Connection) -> bool:
        if connection.pgconn.transaction_status not in (
            TransactionStatus.IDLE,
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        ):
            return False
        try:
            async with asyncio.timeout(_CLEAN_UP_S):
                ended = await connection.execute(transaction.end(behind_pooler=self.behind_pooler))
        except (psycopg.Error, OSError, TimeoutError):
            return False
        if connection.pgconn.transaction_status != TransactionStatus.IDLE:
            return False
        return self.behind_pooler or (await _last_row(ended))[0] == "on"

    async def _configure(self, connection: Connection) -> None:
        if not self.behind_pooler:
            await connection.execute(transaction.CONFIGURE)


async def _is_pooled(connection: Connection) -> bool:
    """A pooler makes up the process that it names at the start; the server's own name tells otherwise."""
    found = await (await connection.execute("SELECT pg_catalog.pg_backend_pid()")).fetchone()
    return found is not None and found[0] != connection.pgconn.backend_pid


async def _last_row(cursor: psycopg.AsyncCursor[TupleRow]) -> TupleRow:
    """Of a text of several statements: the row of the last one that gave rows."""
    row: TupleRow = ()
    while True:
        if cursor.description is not None and (found := await cursor.fetchone()) is not None:
            row = found
        if not cursor.nextset():
            return row


async def _returned(getting: asyncio.Task[Connection], pool: AsyncConnectionPool[Connection]) -> None:
    """Nobody waits for it any more; what it got in the last moment goes back."""
    getting.cancel()
    await asyncio.wait([getting])
    if not getting.cancelled() and getting.exception() is None:
        await pool.putconn(getting.result())
