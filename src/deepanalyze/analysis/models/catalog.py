"""All models that this server offers: the configured ones, what their servers list besides, and the profiler."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from deepanalyze.analysis.models.base import ModelClient, ModelInfo
from deepanalyze.datasources.limits import RetryPolicy
from deepanalyze.errors import ModelNotFound
from deepanalyze.settings import ModelConfig

if TYPE_CHECKING:
    from deepanalyze.analysis.models.server import ModelServer

_OWNER = "deepanalyze"


class Catalog:
    """Ask it inside `async with`: it closes the connections to all model servers at its end."""

    def __init__(
        self,
        configured: Sequence[ModelConfig],
        profiler: ModelClient | None = None,
        *,
        retries: RetryPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._servers = [_server(config, retries, clock) for config in configured]
        self._profiler = profiler

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(server.close() for server in self._servers))

    async def list(self) -> Sequence[ModelInfo]:
        offers = await asyncio.gather(*(server.models() for server in self._servers))
        infos = {info.id: info for offered in reversed(offers) for info in reversed(offered)}
        if self._profiler is not None:
            infos[self._profiler.id] = ModelInfo(self._profiler.id, _OWNER)
        return list(infos.values())

    def silent_servers(self) -> Sequence[str]:
        """Where the model servers are that did not answer when they were last asked what they list."""
        return [server.host for server in self._servers if not server.answered]

    async def get(self, model_id: str) -> ModelClient:
        if self._profiler is not None and model_id == self._profiler.id:
            return self._profiler
        server = self._configured(model_id) or await self._listing(model_id)
        if server is None:
            raise ModelNotFound(await self._unknown(model_id), param="model")
        return await server.model(model_id)

    def _configured(self, model_id: str) -> ModelServer | None:
        return next((s for s in self._servers if s.config.id and s.config.id == model_id), None)

    async def _listing(self, model_id: str) -> ModelServer | None:
        offers = await asyncio.gather(*(server.models() for server in self._servers))
        for server, offered in zip(self._servers, offers, strict=True):
            if any(info.id == model_id for info in offered):
                return server
        return None

    async def _unknown(self, model_id: str) -> str:
        known = ", ".join(sorted(info.id for info in await self.list())) or "none is configured"
        return f"no model '{model_id}' here; the models are: {known}"


def _server(config: ModelConfig, retries: RetryPolicy | None, clock: Callable[[], float]) -> ModelServer:
    # The client's package takes a second to import: a server that has no model server does not need it.
    from deepanalyze.analysis.models.server import ModelServer

    return ModelServer(config, retries=retries, clock=clock)
