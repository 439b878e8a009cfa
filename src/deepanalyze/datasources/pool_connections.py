"""What a pool does with a connection of its own: make, connect, test and disconnect it, each in bounded time."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable

from deepanalyze.datasources.base import DataSourceConnector
from deepanalyze.datasources.live import plugin_errors
from deepanalyze.datasources.pool_config import PoolConfig, PooledConnection
from deepanalyze.errors import ConfigurationError, DeepAnalyzeError, SourceUnavailable

ConnectorFactory = Callable[[], DataSourceConnector | Awaitable[DataSourceConnector]]

_DISCONNECT_S = 10.0  # then it is left to itself: what hangs must not keep its place in the pool for ever
_LEAST_DISCONNECT_S = 1.0  # cut off any sooner, it may still be open while another takes its place


class Connections:
    def __init__(self, factory: ConnectorFactory, config: PoolConfig, name: str) -> None:
        self._factory = factory
        self._config = config
        self._name = name
        # Each of testing and closing a dead one leaves time to open a new one.
        self._patience_s = config.acquire_timeout / 3
        self._log = logging.getLogger(__name__)

    async def make(self) -> PooledConnection:
        """Raises SourceUnavailable for whatever a factory lets escape, whose text may hold a secret."""
        try:
            made = self._factory()
            connector = await made if inspect.isawaitable(made) else made
        except DeepAnalyzeError:
            raise
        except Exception as error:
            raise SourceUnavailable(
                f"source {self._name!r}: its connector_factory failed with {type(error).__name__}"
            ) from error
        if not isinstance(connector, DataSourceConnector):
            raise ConfigurationError(
                f"source {self._name!r}: its connector_factory gave {type(connector).__name__}, "
                "which is no DataSourceConnector"
            )
        return PooledConnection(connector)

    async def connect(self, pooled: PooledConnection) -> None:
        with plugin_errors(pooled.connector):
            await pooled.connector.connect()

    async def healthy(self, pooled: PooledConnection) -> bool:
        """Tests it, unless it was tested not long ago. One that does not answer is as good as dead."""
        if time.monotonic() - pooled.last_checked_at < self._config.health_check_interval:
            return True
        try:
            async with asyncio.timeout(self._patience_s):
                with plugin_errors(pooled.connector):
                    alive = await pooled.connector.test_connection()
        except (DeepAnalyzeError, TimeoutError):
            return False
        pooled.last_checked_at = time.monotonic()
        return alive

    def too_old(self, pooled: PooledConnection) -> bool:
        return time.monotonic() - pooled.created_at >= self._config.max_lifetime

    async def disconnect(self, pooled: PooledConnection, *, soon: bool = False) -> None:
        """Whatever happens, this connection is done with. `soon`: somebody waits for its place."""
        soon_s = max(_LEAST_DISCONNECT_S, min(self._patience_s, _DISCONNECT_S))
        try:
            async with asyncio.timeout(soon_s if soon else _DISCONNECT_S):
                with plugin_errors(pooled.connector):
                    await pooled.connector.disconnect()
        except (DeepAnalyzeError, TimeoutError) as error:
            self._log.warning(
                "disconnecting failed", extra={"pool": self._name, "error": str(error) or "took too long"}
            )
