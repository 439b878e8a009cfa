"""The live connectors: one for each source, opened once however many ask at the same time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator

from deepanalyze.datasources.base import DataSourceConnector
from deepanalyze.datasources.capabilities import PoolStats, SupportsPoolStats
from deepanalyze.errors import DeepAnalyzeError, NotFound, SourceUnavailable


class LiveConnectors:
    def __init__(self) -> None:
        self._opening: dict[str, asyncio.Task[DataSourceConnector]] = {}
        self._retired: dict[asyncio.Task[None], tuple[str, asyncio.Task[DataSourceConnector]]] = {}
        self._log = logging.getLogger(__name__)

    async def get(self, source_id: str, make: Callable[[], DataSourceConnector]) -> DataSourceConnector:
        """No lock is held while the network is awaited: callers of one source share a task, others do not notice.

        A failed attempt is told to all who waited for it and then forgotten, so the next call tries anew.
        """
        task = self._opening.get(source_id)
        if task is None:
            task = asyncio.create_task(_open(make()), name=f"connect {source_id}")
            self._opening[source_id] = task
            task.add_done_callback(lambda done: self._forget_failure(source_id, done))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if task.cancelled() and current is not None and not current.cancelling():
                raise NotFound(
                    f"the data source {source_id!r} was removed while it was being connected"
                ) from None
            raise

    def pool_stats(self) -> dict[str, PoolStats]:
        """By source; of those that are connected at this moment and have a pool."""
        connected = {
            source_id: task.result()
            for source_id, task in self._opening.items()
            if task.done() and not task.cancelled() and task.exception() is None
        }
        found = {
            source_id: connector.pool_stats()
            for source_id, connector in connected.items()
            if isinstance(connector, SupportsPoolStats)
        }
        return {source_id: stats for source_id, stats in found.items() if stats is not None}

    def retire(self, source_id: str, after_s: float) -> None:
        """The next caller connects anew; who has the connector already may go on with it for `after_s`."""
        task = self._opening.pop(source_id, None)
        if task is None:
            return
        ending = asyncio.create_task(self._end_later(source_id, task, after_s), name=f"retire {source_id}")
        self._retired[ending] = (source_id, task)
        ending.add_done_callback(lambda done: self._retired.pop(done, None))

    async def close(self, source_id: str) -> None:
        """Also what was retired of it."""
        if (current := self._opening.pop(source_id, None)) is not None:
            await self._end(source_id, current)
        for ending, (retired_id, task) in list(self._retired.items()):
            if retired_id == source_id:
                ending.cancel()
                await self._end(source_id, task)

    async def _end_later(
        self, source_id: str, task: asyncio.Task[DataSourceConnector], after_s: float
    ) -> None:
        await asyncio.sleep(after_s)
        await self._end(source_id, task)

    async def _end(self, source_id: str, task: asyncio.Task[DataSourceConnector]) -> None:
        task.cancel()  # does nothing to an attempt that has succeeded
        with contextlib.suppress(asyncio.CancelledError, DeepAnalyzeError):
            await asyncio.wait([task])
            connector = task.result()
            try:
                with plugin_errors(connector):
                    await connector.disconnect()
            except DeepAnalyzeError as error:
                self._log.warning(
                    "disconnecting failed", extra={"source_id": source_id, "error": error.message}
                )

    async def close_all(self) -> None:
        await asyncio.gather(*(self.close(source_id) for source_id in self._all()))

    def _all(self) -> set[str]:
        return {*self._opening, *(source_id for source_id, _ in self._retired.values())}

    def _forget_failure(self, source_id: str, task: asyncio.Task[DataSourceConnector]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if failed and self._opening.get(source_id) is task:
            del self._opening[source_id]


async def _open(connector: DataSourceConnector) -> DataSourceConnector:
    try:
        with plugin_errors(connector):
            await connector.connect()
    except BaseException:
        with contextlib.suppress(DeepAnalyzeError), plugin_errors(connector):
            await connector.disconnect()
        raise
    return connector


@contextlib.contextmanager
def plugin_errors(connector: DataSourceConnector) -> Iterator[None]:
    """Errors that a plug-in lets escape become ours here. Their text may hold a secret, so only their type is told."""
    try:
        yield
    except DeepAnalyzeError as error:
        connector.last_error = error
        raise
    except Exception as error:
        connector.last_error = error
        raise SourceUnavailable(
            f"source {connector.config.name!r}: its connector failed with {type(error).__name__}"
        ) from error
