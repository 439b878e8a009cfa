"""All models that this server offers: the configured ones, what their servers list besides, and the profiler.

Where several offer the same id, the profiler comes first, then the configured models in the order of the configuration,
then what the servers list, in the same order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import structlog

from deepanalyze.analysis.models.base import ModelClient, ModelInfo
from deepanalyze.analysis.models.fallback import FallbackModel
from deepanalyze.datasources.limits import RetryPolicy
from deepanalyze.errors import ModelNotFound
from deepanalyze.settings import ModelConfig
from deepanalyze.settings.fallbacks import fallback_chain

if TYPE_CHECKING:
    from deepanalyze.analysis.models.server import ModelServer

_OWNER = "deepanalyze"
_PATIENCE_S = 1.0  # with one server, for a list of the models of all

log = structlog.get_logger()


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
        self._fallbacks = {config.id: config.fallback for config in reversed(configured)}
        self._profiler = profiler
        self._probing: asyncio.Task[Sequence[str]] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])
        await asyncio.gather(*(server.close() for server in self._servers))

    def probe_soon(self) -> None:
        """Asks every server in the background, and logs what is not as configured."""
        self._probing = asyncio.create_task(self._probe(), name="model-probe")

    async def probed(self) -> Sequence[str]:
        """What was found then; nothing where nobody has probed."""
        return await asyncio.shield(self._probing) if self._probing else ()

    async def check(self) -> Sequence[str]:
        """Asks every server; what is not as configured, as sentences for people."""
        await asyncio.gather(*(server.refresh() for server in self._servers))
        return self.problems()

    def problems(self) -> Sequence[str]:
        """What is not as configured, as far as is known."""
        return [problem for server in self._servers if (problem := server.problem())]

    async def list(self) -> Sequence[ModelInfo]:
        """One server that does not answer keeps the others' models from nobody: it is waited for a moment, and not at
        all when it did not answer the last time.
        """
        await asyncio.gather(
            *(s.refresh(patience_s=0 if s.answered is False else _PATIENCE_S) for s in self._servers)
        )
        infos: dict[str, ModelInfo] = {}
        for info in self._known():
            infos.setdefault(info.id, info)
        return list(infos.values())

    def silent_servers(self) -> Sequence[str]:
        """Where the model servers are that did not answer when they were last asked what they list."""
        return list(dict.fromkeys(server.host for server in self._servers if server.answered is False))

    async def get(self, model_id: str) -> ModelClient:
        first = await self._get(model_id)
        others = fallback_chain(model_id, {**self._fallbacks, model_id: self._fallbacks_of(model_id)})
        return FallbackModel(first, others, self._get) if others else first

    async def _get(self, model_id: str) -> ModelClient:
        if self._profiler is not None and model_id == self._profiler.id:
            return self._profiler
        server = self._configured(model_id) or self._listing(model_id) or await self._asked_for(model_id)
        if server is None:
            raise ModelNotFound(await self._unknown(model_id), param="model")
        return await server.model(model_id)

    def _fallbacks_of(self, model_id: str) -> Sequence[str]:
        """Those of a server's whole listing count for each model of it."""
        if model_id in self._fallbacks or (self._profiler is not None and model_id == self._profiler.id):
            return self._fallbacks.get(model_id, ())
        server = self._listing(model_id)
        return server.config.fallback if server is not None and not server.config.id else ()

    def _known(self) -> Iterator[ModelInfo]:
        if self._profiler is not None:
            images = self._profiler.takes_images
            yield ModelInfo(self._profiler.id, _OWNER, images=images, reachable=True, listed=True)
        offers = [(server.config.id, server.models()) for server in self._servers]
        yield from (info for own, infos in offers for info in infos if own and info.id == own)
        yield from (info for _, infos in offers for info in infos)

    def _configured(self, model_id: str) -> ModelServer | None:
        return next((s for s in self._servers if s.config.id and s.config.id == model_id), None)

    def _listing(self, model_id: str) -> ModelServer | None:
        return next((server for server in self._servers if server.lists_model(model_id)), None)

    async def _asked_for(self, model_id: str) -> ModelServer | None:
        """Asks all servers, and takes the first that lists it: a slow one keeps no other's model waiting."""
        asking = [asyncio.create_task(server.refresh()) for server in self._servers]
        try:
            for asked in asyncio.as_completed(asking):
                await asked
                if server := self._listing(model_id):
                    return server
            return None
        finally:
            for task in asking:
                task.cancel()

    async def _unknown(self, model_id: str) -> str:
        known = ", ".join(sorted(info.id for info in await self.list())) or "none is configured"
        silent = ", ".join(self.silent_servers())
        more = f"; what {silent} offers is not known, because it does not answer" if silent else ""
        return f"no model '{model_id}' here; the models are: {known}{more}"

    async def _probe(self) -> Sequence[str]:
        problems = await self.check()
        for problem in problems:
            log.warning("model server is not as configured", problem=problem)
        return problems


def _server(config: ModelConfig, retries: RetryPolicy | None, clock: Callable[[], float]) -> ModelServer:
    # The client's package takes a second to import: a server that has no model server does not need it.
    from deepanalyze.analysis.models.server import ModelServer

    return ModelServer(config, retries=retries, clock=clock)
