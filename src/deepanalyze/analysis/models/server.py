"""One model server: its connections, and what it lists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import structlog
from openai import AsyncOpenAI

from deepanalyze.analysis.models.base import ModelInfo
from deepanalyze.analysis.models.chunks import Malformed
from deepanalyze.analysis.models.connection import open_client
from deepanalyze.analysis.models.failures import FAILURES, host_of, quoted, what_happened
from deepanalyze.analysis.models.openai import OpenAIModel, protocol_of, takes_images
from deepanalyze.datasources.limits import RetryPolicy
from deepanalyze.settings import ModelConfig

OWNER = "deepanalyze"

_LISTING_TIMEOUT_S = 3
_LISTING_TTL_S = 60
_FAILURE_TTL_S = 5
_NO_LISTING = frozenset({404, 405, 501})
_MAX_NAMED = 5

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Listed:
    id: str
    owned_by: str
    created: int
    context_tokens: int | None


class ModelServer:
    """What it lists is asked for at most once a minute; a server that does not answer offers its configured model.

    `answered` is None before it was asked, and tells afterwards how it went the last time; `why_not` is the reason.
    """

    def __init__(
        self, config: ModelConfig, *, retries: RetryPolicy | None, clock: Callable[[], float]
    ) -> None:
        self.config = config
        self.listed: Sequence[Listed] = ()
        self.lists = False
        self.answered: bool | None = None
        self.why_not = ""
        self._retries = retries
        self._clock = clock
        self._client: AsyncOpenAI | None = None
        self._models: dict[str, OpenAIModel] = {}
        self._stale_at = float("-inf")
        self._opening = asyncio.Lock()
        self._asking: asyncio.Task[None] | None = None

    @property
    def host(self) -> str:
        return host_of(self.config)

    async def model(self, model_id: str) -> OpenAIModel:
        if model_id not in self._models:
            client = await self._connected()
            self._models[model_id] = OpenAIModel(
                self._config_of(model_id),
                client=client,
                retries=self._retries,
                told_context=lambda: self._told_context(model_id),
            )
        return self._models[model_id]

    def models(self) -> Sequence[ModelInfo]:
        """As far as is known: the configured one first, then what it lists."""
        own = self.config.id
        listed = {each.id: each for each in self.listed}
        names = [own, *(name for name in listed if name != own)] if own else list(listed)
        return [self._info(name, listed.get(name)) for name in names]

    def lists_model(self, model_id: str) -> bool:
        return any(each.id == model_id for each in self.listed)

    async def refresh(self, *, patience_s: float | None = None) -> None:
        """Asks what it lists, when that was too long ago. Who has no patience gets what is known until then: the
        question goes on.
        """
        if self._clock() < self._stale_at:
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="model-listing")
        await asyncio.wait([self._asking], timeout=patience_s)

    def problem(self) -> str | None:
        """What is not as the configuration has it."""
        named = f"model server {self.host}" + (f" (model '{self.config.id}')" if self.config.id else "")
        if self.answered is False:
            return f"{named} {self.why_not}"
        if self.lists and self.config.id and not self.lists_model(self.config.id):
            names = [each.id for each in self.listed[:_MAX_NAMED]]
            more = ", …" if len(self.listed) > len(names) else ""
            return f"{named} does not list that id, but {', '.join(names) + more or 'no model at all'}; check the id"
        if self.answered and not self.config.id and not self.listed:
            return f"{named} lists no model; name one with its id"
        return None

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        if self._client is not None:
            await self._client.close()

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(_LISTING_TIMEOUT_S):
                client = await self._connected()
                body = await client.get("/models", cast_to=httpx.Response)
            self.listed, self.lists = _listing(body), True
        except openai.APIStatusError as error:
            self._failed(error if error.status_code not in _NO_LISTING else None)
        except (*FAILURES, Malformed) as error:
            self._failed(error)
        else:
            self._settle(answered=True, ttl_s=_LISTING_TTL_S)

    def _failed(self, error: Exception | None) -> None:
        """A server that has no listing answers all the same."""
        self.lists = False
        if error is None:
            self._settle(answered=True, ttl_s=_LISTING_TTL_S)
            return
        if self.answered:
            log.warning("model server does not list its models", host=self.host, reason=self._reason(error))
        self._settle(answered=False, ttl_s=_FAILURE_TTL_S, why_not=self._reason(error))

    def _settle(self, *, answered: bool, ttl_s: float, why_not: str = "") -> None:
        if answered and self.answered is False:
            log.info("model server answers again", host=self.host)
        self.answered, self.why_not = answered, why_not
        self._stale_at = self._clock() + ttl_s

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"did not answer within {_LISTING_TIMEOUT_S} s; check its base URL and that the server is running"
        return quoted(self.config, what_happened(self.config, error))

    def _info(self, name: str, listed: Listed | None) -> ModelInfo:
        config = self._config_of(name)
        return ModelInfo(
            name,
            listed.owned_by if listed else OWNER,
            listed.created if listed else 0,
            config.context_tokens or (listed.context_tokens if listed else None),
            protocol_of(config),
            takes_images(config),
            self.answered,
            listed is not None if self.lists else None,
        )

    def _told_context(self, model_id: str) -> int | None:
        return next((each.context_tokens for each in self.listed if each.id == model_id), None)

    def _config_of(self, model_id: str) -> ModelConfig:
        """What is configured for one model says nothing about its neighbours, but for how their server is reached."""
        config = self.config
        if config.id == model_id:
            return config
        if not config.id:
            return config.model_copy(update={"id": model_id})
        return ModelConfig(
            id=model_id,
            base_url=config.base_url,
            api_key=config.api_key,
            headers=config.headers,
            timeout_s=config.timeout_s,
        )

    async def _connected(self) -> AsyncOpenAI:
        async with self._opening:
            if self._client is None:
                self._client = await open_client(self.config)
            return self._client


def _listing(response: httpx.Response) -> Sequence[Listed]:
    """Raises Malformed where it is not in OpenAI's form; an entry that is not is passed over."""
    try:
        body = response.json()
    except ValueError as error:
        raise Malformed from error
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list):
        raise Malformed
    entries = {entry["id"]: entry for entry in reversed(data) if _is_model(entry)}
    return [_listed(entry) for entry in reversed(entries.values())]


def _is_model(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("id"), str) and bool(entry["id"])


def _listed(entry: dict[str, Any]) -> Listed:
    owner, created, context = (entry.get(name) for name in ("owned_by", "created", "max_model_len"))
    return Listed(
        entry["id"],
        owner if isinstance(owner, str) and owner else OWNER,
        int(created) if isinstance(created, int | float) and created > 0 else 0,
        context if isinstance(context, int) and context > 0 else None,
    )
