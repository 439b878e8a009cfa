"""All models that this server offers: the configured ones, what their servers list besides, and the profiler."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import structlog
from openai import AsyncOpenAI

from deepanalyze.analysis.models.base import ModelClient, ModelInfo
from deepanalyze.analysis.models.failures import FAILURES, host_of
from deepanalyze.analysis.models.openai import OpenAIModel, open_client
from deepanalyze.datasources.limits import RetryPolicy
from deepanalyze.errors import ModelNotFound
from deepanalyze.settings import ModelConfig

_LISTING_TIMEOUT_S = 3
_LISTING_TTL_S = 60
_FAILURE_TTL_S = 5
_OWNER = "deepanalyze"

log = structlog.get_logger()


class _Server:
    """One model server: its client, and what it lists, asked for at most once a minute."""

    def __init__(self, config: ModelConfig, clock: Callable[[], float]) -> None:
        self.config = config
        self.listed: Sequence[ModelInfo] = ()
        self._clock = clock
        self._client: AsyncOpenAI | None = None
        self._stale_at = 0.0
        self._listing = asyncio.Lock()

    def client(self) -> AsyncOpenAI:
        if self._client is None:
            self._client = open_client(self.config)
        return self._client

    async def models(self) -> Sequence[ModelInfo]:
        async with self._listing:  # of this server alone, so that a slow one keeps nobody else waiting
            if self._clock() >= self._stale_at:
                await self._ask()
        own = self.config.id
        known = {m.id for m in self.listed}
        return [*([ModelInfo(own, _OWNER)] if own and own not in known else []), *self.listed]

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(_LISTING_TIMEOUT_S):
                page = await self.client().models.list()
        except (*FAILURES, TimeoutError) as error:
            log.warning("model_server_not_listing", host=host_of(self.config), reason=type(error).__name__)
            self._stale_at = self._clock() + _FAILURE_TTL_S
        else:
            self.listed = [
                ModelInfo(m.id, getattr(m, "owned_by", None) or _OWNER, getattr(m, "created", None) or 0)
                for m in page.data or ()
            ]
            self._stale_at = self._clock() + _LISTING_TTL_S

    def config_of(self, model_id: str) -> ModelConfig:
        """The protocol that is configured for one model says nothing about its neighbours."""
        if self.config.id == model_id:
            return self.config
        protocol = None if self.config.id else self.config.protocol
        return self.config.model_copy(update={"id": model_id, "protocol": protocol})

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


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
        self._servers = [_Server(config, clock) for config in configured]
        self._profiler = profiler
        self._retries = retries
        self._models: dict[str, OpenAIModel] = {}

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

    async def get(self, model_id: str) -> ModelClient:
        if self._profiler is not None and model_id == self._profiler.id:
            return self._profiler
        server = self._configured(model_id) or await self._listing(model_id)
        if server is None:
            raise ModelNotFound(await self._unknown(model_id), param="model")
        if model_id not in self._models:
            config = server.config_of(model_id)
            self._models[model_id] = OpenAIModel(config, client=server.client(), retries=self._retries)
        return self._models[model_id]

    def _configured(self, model_id: str) -> _Server | None:
        return next((s for s in self._servers if s.config.id and s.config.id == model_id), None)

    async def _listing(self, model_id: str) -> _Server | None:
        offers = await asyncio.gather(*(server.models() for server in self._servers))
        for server, offered in zip(self._servers, offers, strict=True):
            if any(info.id == model_id for info in offered):
                return server
        return None

    async def _unknown(self, model_id: str) -> str:
        known = ", ".join(sorted(info.id for info in await self.list())) or "none is configured"
        return f"no model '{model_id}' here; the models are: {known}"
