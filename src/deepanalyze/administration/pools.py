"""How busy the connections to the sources are."""

from __future__ import annotations

from dataclasses import dataclass

from deepanalyze.datasources.capabilities import PoolStats
from deepanalyze.datasources.registry import DataSourceRegistry
from deepanalyze.datasources.repository import StoredSource


@dataclass(frozen=True, slots=True)
class SourcePool:
    """`stats` is None where nothing is connected, or the connector has no pool."""

    source: StoredSource
    stats: PoolStats | None


def source_pools(registry: DataSourceRegistry) -> list[SourcePool]:
    """Of every source, by name."""
    stats = registry.pool_stats()
    sources = sorted(registry.stored_sources(), key=lambda source: source.name)
    return [SourcePool(source, stats.get(source.id)) for source in sources]


def connections(registry: DataSourceRegistry) -> dict[str, float]:
    """Of all sources together."""
    stats = registry.pool_stats().values()
    return {name: float(sum(getattr(each, name) for each in stats)) for name in ("in_use", "idle", "waiting")}
