"""Connections of one source: how they are made, pooled, lent for one reading transaction, and checked on return."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from deepanalyze.datasources.connectors.postgresql.config import PostgresConfig
from deepanalyze.datasources.connectors.postgresql.errors import is_transient, postgres_errors
from deepanalyze.datasources.connectors.postgresql.wire import Interrupted, Overdue, Wire
from deepanalyze.datasources.limits import SourceDefaults
from deepanalyze.datasources.policy import allowed_addresses
from deepanalyze.errors import Busy, QueryTimeout, SourceUnavailable

Connection = AsyncConnection[TupleRow]
T = TypeVar("T")

_GRACE_S = 5.0  # given to the server to stop a query by itself before we hang up
_CLEAN_UP_S = 5.0
_IDLE_IN_TRANSACTION_MS = 60_000
_NO_SUCH_FILE = "/dev/null/none"  # else libpq takes the one in the server process's home directory

# Read-only also outside our transactions, should one ever be left.
_CONFIGURE = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"
# A view may hide a function that takes an advisory lock, which would last as long as the session.
_STATE = (
    "SELECT pg_catalog.current_setting('default_transaction_read_only'), session_user, current_user, "
    "pg_catalog.pg_advisory_unlock_all()"
)


class Sessions:
    """An async context manager around the pool of one source."""

    def __init__(self, config: PostgresConfig, defaults: SourceDefaults, source: str) -> None:
        self._config = config
        self._defaults = defaults
        self._source = source
        self._resources = contextlib.AsyncExitStack()
        self._pool: AsyncConnectionPool[Connection] | None = None
        self._running: set[Wire] = set()
        self._at_work: dict[Connection, asyncio.Future[Any]] = {}
        self._root_certificate: Path | None = None
        self.query_timeout_s = min(
            config.query_timeout_s or defaults.timeouts.query_s, defaults.timeouts.query_ceiling_s
        )
        self._connect_timeout_s = config.connect_timeout_s or defaults.timeouts.connect_s
        self._max_size = config.pool_max_size or defaults.pool.max_size
        wanted = defaults.pool.min_size if config.pool_min_size is None else config.pool_min_size
        self._min_size = min(wanted, self._max_size)

    async def open(self) -> None:
        """Proves with one connection that the source can be reached, so that what is wrong is told in its own words."""
        async with contextlib.AsyncExitStack() as resources:
            await self._keep_certificate(resources)
            await self._probe()
            threads = ThreadPoolExecutor(self._max_size, thread_name_prefix="postgresql")
            resources.callback(threads.shutdown, wait=False)
            pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
                kwargs=self._parameters,
                min_size=self._min_size,
                max_size=self._max_size,
                open=False,
                configure=_configure,
                check=AsyncConnectionPool.check_connection,
                reset=_verify,
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
        for wire in self._running:
            wire.interrupt()
        await self._resources.aclose()

    @asynccontextmanager
    async def reading(self, timeout_s: float | None = None) -> AsyncIterator[Connection]:
        """A connection inside a READ ONLY transaction, whose statements the server stops at their time limit.

        It goes back to the pool clean, or not at all.
        """
        timeout_s = timeout_s or self.query_timeout_s
        connection = await self._acquire()
        try:
            with postgres_errors(self._source, timeout_s=timeout_s):
                await connection.execute(self._begin(timeout_s))
                yield connection
        finally:
            await asyncio.shield(self._give_back(connection))

    async def in_thread(
        self, connection: Connection, work: Callable[[Wire], T], timeout_s: float | None = None
    ) -> T:
        """Runs `work` beside the event loop. Cancelling this cancels the statement on the server, then hangs up."""
        loop = asyncio.get_running_loop()
        limit_s = timeout_s or self.query_timeout_s
        wire = Wire(connection.pgconn, time.monotonic() + limit_s + _GRACE_S)
        running = loop.run_in_executor(self._threads, wire.run, work)
        self._running.add(wire)
        self._at_work[connection] = running
        running.add_done_callback(lambda _: self._at_work.pop(connection, None))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            wire.interrupt()
            await asyncio.shield(_ended(running, connection))
            raise
        except Interrupted:
            await _cancel(connection)
            raise SourceUnavailable(f"source {self._source!r}: it was closed") from None
        except Overdue:
            await _cancel(connection)
            raise QueryTimeout(
                f"source {self._source!r}: the server did not end the query within {limit_s:g} s (query_timeout_s)"
            ) from None
        finally:
            self._running.discard(wire)

    def _begin(self, timeout_s: float) -> sql.Composed:
        """Everything that a statement relies on, set for this transaction alone, so that nothing has to be undone and
        a pooler in between may swap sessions. The final SELECT takes the snapshot, after which the server refuses to
        make the transaction read-write.
        """
        timeout_ms = max(1, round(timeout_s * 1000))
        settings: dict[str, Any] = {
            "statement_timeout": timeout_ms,
            "lock_timeout": min(timeout_ms, 10_000),
            "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION_MS,
            "standard_conforming_strings": "on",  # what the guard's parser takes for granted
            "datestyle": "ISO",
            "intervalstyle": "postgres",
            "bytea_output": "hex",
        }
        lines = [sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")]
        parts: list[sql.Composable] = [*lines]
        parts += [
            sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(k), sql.Literal(v))
            for k, v in settings.items()
        ]
        if self._config.search_path:
            schemas = sql.SQL(", ").join(map(sql.Identifier, self._config.search_path))
            parts.append(sql.SQL("SET LOCAL search_path = {}").format(schemas))
        parts.append(sql.SQL("SELECT 1"))
        return sql.SQL("; ").join(parts)

    async def _acquire(self) -> Connection:
        pool = self._pool
        if pool is None:
            raise SourceUnavailable(f"source {self._source!r}: it is not connected")
        try:
            return await pool.getconn()
        except PoolClosed:
            raise SourceUnavailable(f"source {self._source!r}: it was closed") from None
        except PoolTimeout:
            stats = pool.get_stats()
            waited_s = self._defaults.timeouts.acquire_s
            if stats.get("pool_size", 0) < self._max_size or stats.get("connections_errors", 0):
                await self._probe()  # tells why no connection could be made
            raise Busy(
                f"source {self._source!r}: none of its {self._max_size} connections came free within {waited_s:g} s",
                retry_after_s=waited_s,
            ) from None

    async def _give_back(self, connection: Connection) -> None:
        if (running := self._at_work.get(connection)) is not None:  # its caller was cancelled twice
            await asyncio.wait([running])
        if connection.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            with contextlib.suppress(psycopg.Error, TimeoutError):
                async with asyncio.timeout(_CLEAN_UP_S):
                    await connection.rollback()
        if connection.pgconn.transaction_status != TransactionStatus.IDLE:
            await connection.close()
        if self._pool is not None:
            await self._pool.putconn(connection)
        else:
            await connection.close()

    async def _probe(self) -> None:
        """Connects once, trying again only what may pass by itself, all within the connect timeout."""
        retries = self._defaults.retries
        attempts = AsyncRetrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_attempt(retries.max_attempts) | stop_after_delay(self._connect_timeout_s),
            wait=wait_random_exponential(multiplier=retries.base_delay_s, max=retries.max_delay_s),
            reraise=True,
        )
        with postgres_errors(self._source):
            try:
                async with asyncio.timeout(self._connect_timeout_s + 1):
                    await attempts(self._connect_once)
            except TimeoutError:
                raise SourceUnavailable(
                    f"source {self._source!r}: no connection to {self._place()} within {self._connect_timeout_s:g} s "
                    "(connect_timeout_s)"
                ) from None
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise SourceUnavailable(
                    f"source {self._source!r}: {self._place()} cannot be reached ({reason})"
                ) from error

    async def _connect_once(self) -> None:
        connection = await AsyncConnection.connect(**await self._parameters())
        await connection.close()

    async def _parameters(self) -> dict[str, Any]:
        """Everything is given, so that nothing comes from the server process's own environment or home directory."""
        config = self._config
        parameters: dict[str, Any] = {
            "port": str(config.port),
            "dbname": config.database,
            "user": config.user,
            "password": config.password.get_secret_value() if config.password else "",
            "passfile": os.devnull,
            "sslmode": config.tls_mode,
            "sslcertmode": "disable",
            "sslrootcert": self._trusted(),
            "gssencmode": "disable",
            "require_auth": "!gss,!sspi",
            "options": "",
            "application_name": config.application_name,
            "client_encoding": "UTF8",
            "connect_timeout": str(max(1, round(self._connect_timeout_s))),
            "autocommit": True,
            "prepare_threshold": None,
        }
        if config.socket_dir is not None:
            return parameters | {"host": config.socket_dir, "hostaddr": ""}
        host = (config.host or "").strip("[]")
        addresses = await allowed_addresses(host, config.port)
        return parameters | {"host": ",".join([host] * len(addresses)), "hostaddr": ",".join(addresses)}

    def _trusted(self) -> str:
        if self._root_certificate is not None:
            return str(self._root_certificate)
        return "system" if self._config.tls_mode == "verify-full" else _NO_SUCH_FILE

    async def _keep_certificate(self, resources: contextlib.AsyncExitStack) -> None:
        if self._config.sslrootcert is None:
            return
        directory = resources.enter_context(tempfile.TemporaryDirectory(prefix="deepanalyze-"))
        self._root_certificate = Path(directory) / "root.crt"
        await asyncio.to_thread(self._root_certificate.write_text, self._config.sslrootcert)

    def _place(self) -> str:
        return self._config.socket_dir or f"{self._config.host}:{self._config.port}"


async def _configure(connection: Connection) -> None:
    await connection.execute(_CONFIGURE)


async def _verify(connection: Connection) -> None:
    """Runs in the pool's own task when a connection comes back; one that is not as it was made is thrown away."""
    found = await (await connection.execute(_STATE)).fetchone()
    if found is None or found[0] != "on" or found[1] != found[2]:
        raise psycopg.OperationalError("the session came back changed")


async def _ended(running: asyncio.Future[Any], connection: Connection) -> None:
    with contextlib.suppress(Interrupted, psycopg.Error, OSError):
        await running
    await _cancel(connection)


async def _cancel(connection: Connection) -> None:
    if connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
        with contextlib.suppress(psycopg.Error, OSError):
            await connection.cancel_safe(timeout=3)
