"""The connections to a source, shared fairly between its users."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deepanalyze.datasources.base import DataSourceConnector
from deepanalyze.datasources.capabilities import SupportsPoolStats
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.fairness import FairSlots

_WITHOUT_POOL = 32  # uses at the same time of a source that tells of no pool


class SourceTurns:
    """A pool serves first come, first served: who asks sixty times at once would keep all others waiting. So no more
    are let through to it than it has connections, and users have them in turn.

    Args:
        wait_s: how long one waits for a turn.
    """

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._slots: dict[tuple[str, int], FairSlots] = {}

    @asynccontextmanager
    async def turn(
        self, user_id: str, source: StoredSource, connector: DataSourceConnector
    ) -> AsyncIterator[None]:
        """Raises Busy after `wait_s`."""
        size = _connections(connector)
        slots = self._slots.get((source.id, size)) or self._made(source, size)
        try:
            async with slots.slot(user_id):
                yield
        finally:
            if slots.unused:
                self._slots.pop((source.id, size), None)

    def _made(self, source: StoredSource, size: int) -> FairSlots:
        slots = self._slots[source.id, size] = FairSlots(
            size,
            wait_s=self._wait_s,
            busy=f"all connections to source {source.name!r} that you may use at the same time were busy for "
            f"{self._wait_s:g} s; try again later",
        )
        return slots


def _connections(connector: DataSourceConnector) -> int:
    stats = connector.pool_stats() if isinstance(connector, SupportsPoolStats) else None
    return _WITHOUT_POOL if stats is None else stats.max_size
