"""A pool of connectors, for products whose client has no pool of its own.

Everything happens on one event loop, and the books are kept between two awaits: there is no lock to wait for, and
connecting, testing and disconnecting never keep anybody from giving a connection back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Self

from deepanalyze.datasources.capabilities import PoolStats
from deepanalyze.datasources.pool_config import PoolConfig, PooledConnection
from deepanalyze.datasources.pool_connections import Connections, ConnectorFactory
from deepanalyze.errors import Busy, DeepAnalyzeError, InvalidRequest, SourceUnavailable

_LEAST_PAUSE_S, _MOST_PAUSE_S = 0.02, 30.0  # of the upkeep
_FIRST_RETRY_S, _LAST_RETRY_S = 1.0, 60.0  # of opening the minimum of a source that cannot be reached


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
        self._connections = Connections(connector_factory, self.config, name)
        self._idle: deque[PooledConnection] = deque()  # the longest unused one first
        self._lent: set[PooledConnection] = set()
        self._ended: set[PooledConnection] = set()  # were lent when the pool was closed
        self._places = 0  # taken by what is lent, being opened, tested or closed
        self._waiters: deque[asyncio.Future[PooledConnection | None]] = deque()
        self._limits: set[asyncio.Timeout] = set()  # of who opens or tests one
        self._closed = False
        self._empty = asyncio.Event()  # set when a closed pool has nothing open any more
        self._upkeep: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._opened = self._failed = self._waited = self._timed_out = 0
        self._log = logging.getLogger(__name__)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def closed(self) -> bool:
        return self._closed

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
        """Lends one for the block. When the block ended with SourceUnavailable it is not lent again; when it ended with
        anything else that was raised, cancellation too, not before it has been tested.
        """
        pooled = await self.acquire()
        broken = False
        try:
            yield pooled
        except BaseException as error:
            broken = isinstance(error, SourceUnavailable)
            pooled.last_checked_at = -math.inf
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
        if self._closed:
            self._put_back(candidate)
            raise self._was_closed()
        pooled = await self._within(deadline, candidate)
        if self._closed:
            self._retire(pooled)
            raise self._was_closed()
        pooled.uses += 1
        self._lent.add(pooled)
        return pooled

    async def release(self, pooled: PooledConnection, *, broken: bool = False) -> None:
        """Takes one back. Raises InvalidRequest for one that this pool has not lent, or has taken back already."""
        if pooled in self._ended:
            self._ended.discard(pooled)
            return
        if pooled not in self._lent:
            raise InvalidRequest(
                f"pool {self.name!r}: this connection was not lent by it, or has been given back already"
            )
        self._lent.discard(pooled)
        pooled.last_used_at = time.monotonic()
        if broken or self._connections.too_old(pooled):
            self._retire(pooled)
        else:
            self._put_back(pooled)

    async def close(self) -> None:
        """Ends the pool: who waits, opens or tests one gets SourceUnavailable; what is lent is disconnected under its
        user, who may still give it back.

        All is closed when this returns; it goes on by itself when this is cancelled.
        """
        self._closed = True
        if self._upkeep is not None:
            self._upkeep.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(self._was_closed())
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(0)
        while self._idle:
            self._places += 1
            self._retire(self._idle.pop())
        for pooled in self._lent:
            self._retire(pooled)
        self._ended |= self._lent
        self._lent.clear()
        if self._places:
            await self._empty.wait()
        if self._upkeep is not None:
            await asyncio.wait([self._upkeep])

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
                return await waiter
        except (TimeoutError, asyncio.CancelledError) as error:
            if not waiter.cancelled() and waiter.exception() is None:  # handed over at this very moment
                self._put_back(waiter.result())
            if isinstance(error, asyncio.CancelledError):
                raise
            self._timed_out += 1
            raise Busy(
                f"source {self.name!r}: none of its {self.config.max_size} connections came free within "
                f"{self.config.acquire_timeout:g} s (acquire_timeout); {len(self._waiters)} wait for one; "
                "try again, or raise max_size",
                retry_after_s=self.config.acquire_timeout,
            ) from None
        finally:
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)

    def _free(self) -> bool:
        return bool(self._idle) or self._places < self.config.max_size

    def _take(self) -> PooledConnection | None:
        pooled = self._idle.pop() if self._idle else None
        self._places += 1
        return pooled

    def _put_back(self, candidate: PooledConnection | None) -> None:
        """What `_take` gave, or the like."""
        if candidate is None:
            self._vacate()
        elif self._closed:
            self._retire(candidate)
        else:
            self._idle.append(candidate)
            self._vacate()

    def _vacate(self) -> None:
        self._places -= 1
        if not self._closed:
            self._serve()
        elif not self._places:
            self._empty.set()

    def _serve(self) -> None:
        while self._waiters and self._free():
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(self._take())

    # connections themselves; each of these leaves the place taken or vacates it, whatever happens

    async def _within(self, deadline: float, candidate: PooledConnection | None) -> PooledConnection:
        try:
            async with asyncio.timeout_at(deadline) as limit:
                self._limits.add(limit)
                try:
                    return await self._fit_for_use(candidate)
                finally:
                    self._limits.discard(limit)
        except TimeoutError:
            if self._closed:
                raise self._was_closed() from None
            self._timed_out += 1
            raise SourceUnavailable(
                f"source {self.name!r}: it could not be connected within {self.config.acquire_timeout:g} s "
                "(acquire_timeout)"
            ) from None

    async def _fit_for_use(self, candidate: PooledConnection | None) -> PooledConnection:
        if candidate is None:
            return await self._open()
        try:
            if not self._connections.too_old(candidate) and await self._connections.healthy(candidate):
                return candidate
        except BaseException:
            self._retire(candidate)
            raise
        closing = self._start(self._connections.disconnect(candidate, soon=True))
        try:
            await asyncio.shield(closing)
        except BaseException:
            closing.add_done_callback(lambda _: self._vacate())
            raise
        return await self._open()

    async def _open(self) -> PooledConnection:
        pooled: PooledConnection | None = None
        try:
            pooled = await self._connections.make()
            await self._connections.connect(pooled)
        except BaseException:
            self._failed += 1
            if pooled is None:
                self._vacate()
            else:
                self._retire(pooled)
            raise
        self._opened += 1
        return pooled

    def _retire(self, pooled: PooledConnection) -> None:
        """Closes it, for which nobody has to wait; then its place is free."""
        self._start(self._connections.disconnect(pooled)).add_done_callback(lambda _: self._vacate())

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"pool {self.name}: disconnect")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task

    # upkeep

    async def _keep_up(self) -> None:
        """Fills the pool up to its minimum, and closes what has been idle or has lived for too long."""
        soonest_s = min(self.config.idle_timeout, self.config.max_lifetime) / 2
        pause_s = min(max(soonest_s, _LEAST_PAUSE_S), _MOST_PAUSE_S)
        retry_s = _FIRST_RETRY_S
        while not self._closed:  # a connector may have kept the cancellation to itself
            self._reap()
            if await self._filled():
                retry_s = _FIRST_RETRY_S
                await asyncio.sleep(pause_s)
            else:
                await asyncio.sleep(max(pause_s, retry_s))
                retry_s = min(retry_s * 2, _LAST_RETRY_S)

    async def _filled(self) -> bool:
        while not self._closed and len(self._idle) + self._places < self.config.min_size:
            self._places += 1
            try:
                async with asyncio.timeout(self.config.acquire_timeout):
                    pooled = await self._open()
            except (DeepAnalyzeError, TimeoutError) as error:
                self._log.warning(
                    "connecting failed", extra={"pool": self.name, "error": str(error) or "took too long"}
                )
                return False
            self._put_back(pooled)
        return True

    def _reap(self) -> None:
        now = time.monotonic()
        for pooled in list(self._idle):
            spare = len(self._idle) + self._places > self.config.min_size
            unused = now - pooled.last_used_at >= self.config.idle_timeout
            if self._connections.too_old(pooled) or (unused and spare):
                self._idle.remove(pooled)
                self._places += 1
                self._retire(pooled)

    def _was_closed(self) -> SourceUnavailable:
        return SourceUnavailable(f"source {self.name!r}: its pool was closed")
