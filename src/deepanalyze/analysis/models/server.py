"""One model server: its connections, and what it lists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog
from openai import AsyncOpenAI

from deepanalyze.analysis.models.base import ModelInfo
from deepanalyze.analysis.models.failures import FAILURES, host_of
from deepanalyze.analysis.models.openai import OpenAIModel, open_client
from deepanalyze.datasources.limits import RetryPolicy
from deepanalyze.settings import ModelConfig

OWNER = "deepanalyze"

_LISTING_TIMEOUT_S = 3
_LISTING_TTL_S = 60
_FAILURE_TTL_S = 5

log = structlog.get_logger()


class ModelServer:
    """What it lists is asked for at most once a minute; a server that does not answer offers its configured model."""

    def __init__(
        self, config: ModelConfig, *, retries: RetryPolicy | None, clock: Callable[[], float]
    ) -> None:
        self.config = config
        self.listed: Sequence[ModelInfo] = ()
        self.answered = True  # when it was last asked what it lists
        self._retries = retries
        self._clock = clock
        self._client: AsyncOpenAI | None = None
        self._models: dict[str, OpenAIModel] = {}
        self._stale_at = 0.0
        self._opening = asyncio.Lock()
        self._listing = asyncio.Lock()

    async def model(self, model_id: str) -> OpenAIModel:
        if model_id not in self._models:
            client = await self._connected()
            self._models[model_id] = OpenAIModel(
                self._config_of(model_id), client=client, retries=self._retries
            )
        return self._models[model_id]

    @property
    def host(self) -> str:
        return host_of(self.config)

    async def models(self) -> Sequence[ModelInfo]:
        async with self._listing:  # of this server alone, so that a slow one keeps nobody else waiting
            if self._clock() >= self._stale_at:
                await self._ask()
        own = self.config.id
        known = {m.id for m in self.listed}
        return [*([ModelInfo(own, OWNER)] if own and own not in known else []), *self.listed]

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(_LISTING_TIMEOUT_S):
                page = await (await self._connected()).models.list()
        except (*FAILURES, TimeoutError) as error:
            log.warning("model_server_not_listing", host=self.host, reason=type(error).__name__)
            self._stale_at = self._clock() + _FAILURE_TTL_S
            self.answered = False
        else:
            self.listed = [
                ModelInfo(m.id, getattr(m, "owned_by", None) or OWNER, getattr(m, "created", None) or 0)
                for m in page.data or ()
            ]
            self._stale_at = self._clock() + _LISTING_TTL_S
            self.answered = True

    def _config_of(self, model_id: str) -> ModelConfig:
        """The protocol that is configured for one model says nothing about its neighbours."""
        if self.config.id == model_id:
            return self.config
        protocol = None if self.config.id else self.config.protocol
        return self.config.model_copy(update={"id": model_id, "protocol": protocol})

    async def _connected(self) -> AsyncOpenAI:
        async with self._opening:
            if self._client is None:
                self._client = await open_client(self.config)
            return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
