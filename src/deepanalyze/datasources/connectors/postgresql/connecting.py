"""Connections outside of the pool: to learn why none can be made, and for work that wants a session of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from deepanalyze.datasources.connectors.postgresql.errors import is_transient, postgres_errors
from deepanalyze.datasources.connectors.postgresql.parameters import Parameters
from deepanalyze.datasources.limits import RetryPolicy
from deepanalyze.errors import SourceUnavailable

_HANG_UP_S = 1.0  # given to a half-made connection to become one that can be ended


class Connection(AsyncConnection[TupleRow]):
    """One whose making can be cancelled: psycopg leaves the half-made one to the garbage collector, and the server with
    a session that waits for a password.
    """

    @classmethod
    async def connect(cls, *args: Any, **kwargs: Any) -> Self:
        connecting = asyncio.ensure_future(super().connect(*args, **kwargs))
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(_hang_up)
            await asyncio.wait([connecting], timeout=_HANG_UP_S)
            raise


def _hang_up(connecting: asyncio.Future[Any]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().pgconn.finish()


class Connecting:
    def __init__(self, parameters: Parameters, retries: RetryPolicy, source: str, timeout_s: float) -> None:
        self._parameters = parameters
        self._retries = retries
        self._source = source
        self._timeout_s = timeout_s

    async def probe(self, deadline: float | None = None) -> None:
        """Connects once, trying again what may pass by itself, within the connect timeout. Raises the reason."""
        async with self.separate(deadline):
            pass

    @asynccontextmanager
    async def separate(self, deadline: float | None = None) -> AsyncIterator[Connection]:
        """A fresh connection in autocommit mode, closed at the end of the block."""
        connection = await self._connect(deadline)
        try:
            yield connection
        finally:
            await connection.close()

    async def _connect(self, deadline: float | None) -> Connection:
        left_s = self._timeout_s
        if deadline is not None:
            left_s = max(0.001, min(left_s, deadline - time.monotonic()))
        with postgres_errors(self._source):
            try:
                async with asyncio.timeout(left_s + 1):
                    async for attempt in retrying(self._retries, is_transient, left_s):
                        with attempt:
                            return await Connection.connect(**await self._parameters())
            except TimeoutError:
                raise SourceUnavailable(
                    f"source {self._source!r}: no connection to {self._parameters.place} within {left_s:g} s "
                    "(connect_timeout_s)"
                ) from None
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise SourceUnavailable(
                    f"source {self._source!r}: {self._parameters.place} cannot be reached ({reason})"
                ) from error
        raise AssertionError("retrying either returns or raises")


def retrying(retries: RetryPolicy, again: Any, within_s: float) -> AsyncRetrying:
    """Exponential backoff with full jitter; the pauses and attempts together never outlast `within_s`.

    Args:
        again: told the exception, whether to try once more.
    """
    return AsyncRetrying(
        retry=retry_if_exception(again),
        stop=stop_after_attempt(retries.max_attempts) | stop_before_delay(within_s),
        wait=wait_random_exponential(multiplier=retries.base_delay_s, max=retries.max_delay_s),
        reraise=True,
    )
