"""The pools of several sources, and the figures of those that bring their own."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any, Self

from deepanalyze.datasources.capabilities import SupportsPoolStats
from deepanalyze.datasources.pool import ConnectionPool
from deepanalyze.datasources.pool_config import PoolConfig
from deepanalyze.datasources.pool_connections import ConnectorFactory
from deepanalyze.errors import InvalidRequest, NotFound


class ConnectionPoolManager:
    """An async context manager that closes all pools.

    Args:
        default_config: of pools that are made without one of their own.
    """

    def __init__(self, default_config: PoolConfig | None = None) -> None:
        self._default = default_config or PoolConfig()
        self._pools: dict[str, ConnectionPool] = {}
        self._native: dict[str, SupportsPoolStats] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close_all()

    async def get_pool(
        self,
        *,
        data_source_id: str,
        connector_factory: ConnectorFactory | None = None,
        config: PoolConfig | None = None,
    ) -> ConnectionPool:
        """The one pool of that source, made when first asked for, and anew after it was closed; later calls need no
        factory. Raises InvalidRequest when there is none to make, or for a config that the pool does not have.
        """
        pool = self._pools.get(data_source_id)
        if pool is None or pool.closed:
            if connector_factory is None:
                raise InvalidRequest(
                    f"there is no pool for {data_source_id!r} yet; give a connector_factory to make one"
                )
            pool = ConnectionPool(connector_factory, config or self._default, name=data_source_id)
            self._pools[data_source_id] = pool
        elif config is not None and config != pool.config:
            raise InvalidRequest(
                f"the pool for {data_source_id!r} has other settings ({pool.config}); close it first with close_pool"
            )
        return pool

    def adopt(self, data_source_id: str, connector: SupportsPoolStats) -> None:
        """Lets `get_pool_stats` tell the figures of a connector that has a pool of its own."""
        self._native[data_source_id] = connector

    def get_pool_stats(self, data_source_id: str) -> dict[str, Any]:
        """`PoolStats` as a dict. Raises NotFound for a source without a pool, or one that is not connected."""
        if data_source_id in self._pools:
            return asdict(self._pools[data_source_id].stats())
        native = self._native.get(data_source_id)
        stats = native.pool_stats() if native is not None else None
        if stats is None:
            raise NotFound(f"there is no pool for {data_source_id!r}")
        return asdict(stats)

    async def close_pool(self, data_source_id: str) -> None:
        self._native.pop(data_source_id, None)
        pool = self._pools.pop(data_source_id, None)
        if pool is not None:
            await pool.close()

    async def close_all(self) -> None:
        await asyncio.gather(*(self.close_pool(name) for name in {*self._pools, *self._native}))
