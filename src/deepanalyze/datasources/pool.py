"""A pool of connectors, for products whose client has no pool of its own.

Everything happens on one event loop, and the books are kept between two awaits: there is no lock to wait for, and
connecting, testing and disconnecting never keep anybody from giving a connection back.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from typing import Self

from deepanalyze.datasources.base import DataSourceConnector
from deepanalyze.datasources.capabilities import PoolStats
from deepanalyze.datasources.live import plugin_errors
from deepanalyze.errors import Busy, ConfigurationError, DeepAnalyzeError, InvalidRequest, SourceUnavailable

ConnectorFactory = Callable[[], DataSourceConnector | Awaitable[DataSourceConnector]]


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Times are in seconds. Raises ConfigurationError for numbers that make no pool."""

    max_size: int = 10
    min_size: int = 2
    idle_timeout: float = 5 * 60
    max_lifetime: float = 60 * 60
    acquire_timeout: float = 10
    health_check_interval: float = 30

    def __post_init__(self) -> None:
        for each in fields(self):
            least = 1 if each.name == "max_size" else 0
            if getattr(self, each.name) < least:
                raise ConfigurationError(
                    f"pool: {each.name} is {getattr(self, each.name)}; it must be at least {least}"
                )
        if self.min_size > self.max_size:
            raise ConfigurationError(
                f"pool: min_size ({self.min_size}) must not exceed max_size ({self.max_size})"
            )


@dataclass(slots=True, eq=False)
class PooledConnection:
    """One connector of a pool; times are of the monotonic clock."""

    connector: DataSourceConnector
    created_at: float = field(default_factory=time.monotonic)
    last_used_at: float = field(default_factory=time.monotonic)
    last_checked_at: float = field(default_factory=time.monotonic)
    uses: int = 0


class ConnectionPool:
    """An async context manager. At most `max_size` connections are idle, lent, being opened or being closed at a time;
    who finds none free is served first come, first served.

    Args:
        connector_factory: makes a connector, or a coroutine that does; the pool connects and disconnects it.
        name: of the data source, for messages.
    """

    def __init__(
        self, connector_factory: ConnectorFactory, config: PoolConfig | None = None, *, name: str = "pool"
    ) -> None:
        self.config = config or PoolConfig()
        self.name = name
        self._factory = connector_factory
        self._idle: deque[PooledConnection] = deque()  # the longest unused one first
        self._lent: set[PooledConnection] = set()
        self._places = 0  # taken by what is lent, being opened or being closed
        self._waiters: deque[asyncio.Future[PooledConnection | None]] = deque()
        self._closed = False
        self._upkeep: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._opened = self._failed = self._waited = self._timed_out = 0
        self._log = logging.getLogger(__name__)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def stats(self) -> PoolStats:
        waiting = sum(1 for waiter in self._waiters if not waiter.done())
        return PoolStats(
            in_use=len(self._lent),
            idle=len(self._idle),
            total=len(self._idle) + self._places,
            waiting=waiting,
            max_size=self.config.max_size,
            min_size=self.config.min_size,
            opened=self._opened,
            failed=self._failed,
            waited=self._waited,
            timed_out=self._timed_out,
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[PooledConnection]:
        """Lends one for the block. It is not lent again when the block ended with SourceUnavailable."""
        pooled = await self.acquire()
        broken = False
        try:
            yield pooled
        except SourceUnavailable:
            broken = True
            raise
        finally:
            await self.release(pooled, broken=broken)

    async def acquire(self) -> PooledConnection:
        """One that was tested within the last `health_check_interval`. The caller gives it back with `release`.

        Raises Busy when none comes free within `acquire_timeout`, SourceUnavailable when the pool is closed or cannot
        connect in that time, and whatever the connector raises when it connects.
        """
        if self._upkeep is None and not self._closed:
            self._upkeep = asyncio.create_task(self._keep_up(), name=f"pool {self.name}")
        deadline = asyncio.get_running_loop().time() + self.config.acquire_timeout
        candidate = await self._turn(deadline)
        try:
            async with asyncio.timeout_at(deadline):
                pooled = await self._fit_for_use(candidate)
        except TimeoutError:
            self._timed_out += 1
            raise SourceUnavailable(
                f"source {self.name!r}: it could not be connected within {self.config.acquire_timeout:g} s "
                "(acquire_timeout)"
            ) from None
        if self._closed:
            self._retire(pooled)
            raise self._was_closed()
        pooled.uses += 1
        self._lent.add(pooled)
        return pooled

    async def release(self, pooled: PooledConnection, *, broken: bool = False) -> None:
        """Takes one back. Raises InvalidRequest for one that this pool has not lent, or has taken back already."""
        if pooled not in self._lent:
            raise InvalidRequest(
                f"pool {self.name!r}: this connection was not lent by it, or has been given back already"
            )
        self._lent.discard(pooled)
        pooled.last_used_at = time.monotonic()
        if broken or self._closed or self._too_old(pooled):
            self._retire(pooled)
        else:
            self._places -= 1
            self._idle.append(pooled)
            self._serve()

    async def close(self) -> None:
        """Ends the pool: who waits gets SourceUnavailable, what is lent is disconnected under its user."""
        self._closed = True
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.gather(self._upkeep, return_exceptions=True)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(self._was_closed())
        while self._idle:
            self._places += 1
            self._retire(self._idle.pop())
        await asyncio.gather(*(self._disconnect(pooled) for pooled in self._lent))
        await asyncio.gather(*self._ending, return_exceptions=True)

    # a place in the pool, and who gets it

    async def _turn(self, deadline: float) -> PooledConnection | None:
        """Takes a place: with an idle connection in it, or an empty one to open one in."""
        if self._closed:
            raise self._was_closed()
        if not self._waiters and self._free():
            return self._take()
        self._waited += 1
        waiter: asyncio.Future[PooledConnection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.shield(waiter)
        except TimeoutError:
            if waiter.done():
                return waiter.result()
            self._timed_out += 1
            raise Busy(
                f"source {self.name!r}: none of its {self.config.max_size} connections came free within "
                f"{self.config.acquire_timeout:g} s (acquire_timeout); try again, or raise max_size",
                retry_after_s=self.config.acquire_timeout,
            ) from None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._hand_on(waiter.result())
            raise
        finally:
            if not waiter.done():
                waiter.cancel()
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)

    def _free(self) -> bool:
        return bool(self._idle) or self._places < self.config.max_size

    def _take(self) -> PooledConnection | None:
        pooled = self._idle.pop() if self._idle else None
        self._places += 1
        return pooled

    def _hand_on(self, candidate: PooledConnection | None) -> None:
        self._places -= 1
        if candidate is not None:
            self._idle.append(candidate)
        self._serve()

    def _serve(self) -> None:
        while self._waiters and self._free():
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(self._take())

    # connections themselves; each of these leaves the place taken or gives it on, whatever happens

    async def _fit_for_use(self, candidate: PooledConnection | None) -> PooledConnection:
        if candidate is not None:
            try:
                if not self._too_old(candidate) and await self._healthy(candidate):
                    return candidate
            except BaseException:
                self._retire(candidate)
                raise
            closing = asyncio.ensure_future(self._disconnect(candidate))
            try:
                await asyncio.shield(closing)
            except BaseException:
                self._give_on_after(closing)
                raise
        return await self._open()

    async def _healthy(self, pooled: PooledConnection) -> bool:
        if time.monotonic() - pooled.last_checked_at < self.config.health_check_interval:
            return True
        try:
            with plugin_errors(pooled.connector):
                healthy = await pooled.connector.test_connection()
        except DeepAnalyzeError:
            return False
        pooled.last_checked_at = time.monotonic()
        return healthy

    async def _open(self) -> PooledConnection:
        pooled: PooledConnection | None = None
        try:
            made = self._factory()
            connector = await made if inspect.isawaitable(made) else made
            pooled = PooledConnection(connector)
            with plugin_errors(connector):
                await connector.connect()
        except BaseException:
            self._failed += 1
            self._retire(pooled)
            raise
        self._opened += 1
        return pooled

    def _too_old(self, pooled: PooledConnection) -> bool:
        return time.monotonic() - pooled.created_at >= self.config.max_lifetime

    def _retire(self, pooled: PooledConnection | None) -> None:
        """Closes the connection, for which nobody has to wait, and then gives its place on."""
        self._give_on_after(None if pooled is None else self._disconnect(pooled))

    def _give_on_after(self, closing: Awaitable[None] | None) -> None:
        ending = asyncio.create_task(self._end(closing))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _end(self, closing: Awaitable[None] | None) -> None:
        try:
            if closing is not None:
                await closing
        finally:
            self._places -= 1
            if not self._closed:
                self._serve()

    async def _disconnect(self, pooled: PooledConnection) -> None:
        try:
            with plugin_errors(pooled.connector):
                await pooled.connector.disconnect()
        except DeepAnalyzeError as error:
            self._log.warning("disconnecting failed", extra={"pool": self.name, "error": error.message})

    # upkeep

    async def _keep_up(self) -> None:
        """Fills the pool up to its minimum, and closes what has been idle or has lived for too long."""
        config = self.config
        pause_s = max(0.01, min(config.idle_timeout, config.max_lifetime, config.health_check_interval) / 2)
        while True:
            self._reap()
            while len(self._idle) + self._places < config.min_size:
                self._places += 1
                try:
                    self._hand_on(await self._open())
                except DeepAnalyzeError as error:
                    self._log.warning("connecting failed", extra={"pool": self.name, "error": error.message})
                    break
            await asyncio.sleep(pause_s)

    def _reap(self) -> None:
        now = time.monotonic()
        for pooled in list(self._idle):
            spare = len(self._idle) + self._places > self.config.min_size
            unused = now - pooled.last_used_at >= self.config.idle_timeout
            if self._too_old(pooled) or (unused and spare):
                self._idle.remove(pooled)
                self._places += 1
                self._retire(pooled)

    def _was_closed(self) -> SourceUnavailable:
        return SourceUnavailable(f"source {self.name!r}: its pool was closed")
