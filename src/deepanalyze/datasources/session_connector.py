"""What connectors have in common that keep one session open between calls."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Generic, Protocol, TypeVar

from deepanalyze.datasources.base import DataSourceConfig, DataSourceConnector
from deepanalyze.errors import DeepAnalyzeError, SourceUnavailable


class Session(Protocol):
    async def close(self) -> None: ...


S = TypeVar("S", bound=Session)


class SessionConnector(DataSourceConnector, Generic[S]):
    """One session from `connect` to `disconnect`, shared by all calls; `_session` is it."""

    def __init__(self, config: DataSourceConfig) -> None:
        super().__init__(config)
        self._open: S | None = None
        self._opening = asyncio.Lock()
        self._wanted = False  # between `connect` and `disconnect`
        self._testing = 0  # tests that found it closed

    @abstractmethod
    async def _new_session(self) -> S:
        """Opened. Where that fails it raises one of `deepanalyze.errors` and leaves nothing open."""

    @abstractmethod
    async def _probe(self) -> None:
        """Asks the connected source for something that needs the credentials; raises where it refuses."""

    @property
    def _session(self) -> S:
        if self._open is None:
            raise SourceUnavailable(f"source '{self._label}' is not connected; call connect() first")
        return self._open

    async def connect(self) -> None:
        self._wanted = True
        await self._connect()

    async def _connect(self) -> None:
        async with self._opening:
            if self._open is None:
                self._open = await self._new_session()

    async def disconnect(self) -> None:
        self._wanted = False
        async with self._opening:
            session, self._open = self._open, None
        if session is not None:
            await session.close()

    async def test_connection(self) -> bool:
        """What was not connected before is not connected afterwards, unless somebody connected it meanwhile."""
        connected = self._open is not None
        self._testing += not connected
        try:
            await self._connect()
            await self._probe()
        except DeepAnalyzeError as error:
            self.last_error = error
            return False
        finally:
            if not connected:
                await self._end_test()
        self.last_error = None
        return True

    async def _end_test(self) -> None:
        self._testing -= 1
        if not self._testing and not self._wanted:
            await self.disconnect()
