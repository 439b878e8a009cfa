"""Models behind an OpenAI-compatible server: vLLM with DeepAnalyze-8B, or any other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

import openai
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk

from deepanalyze.analysis.conversation import Conversation, SamplingOptions
from deepanalyze.analysis.models.base import Chunk, Prices, TokenUsage
from deepanalyze.analysis.models.failures import FAILURES, is_transient, model_unavailable, retry_after_s
from deepanalyze.analysis.prompt import Protocol, render
from deepanalyze.datasources.limits import RetryPolicy
from deepanalyze.settings import ModelConfig

_Stream = AsyncStream[ChatCompletionChunk]

CODE_END = "</Code>"
_DEEPANALYZE_STOP_TOKENS = [151676, 151645]
_DEEPANALYZE_TEMPERATURE = 0.4
_MAX_STOPS = 4  # OpenAI's limit
_CONNECT_TIMEOUT_S = 10
_MAX_RETRY_AFTER_S = 20
_NO_KEY = "none"  # the client insists on one


def protocol_of(config: ModelConfig) -> Protocol:
    if config.protocol is not None:
        return config.protocol
    plain = config.id.lower().replace("-", "").replace("_", "").replace(" ", "")
    return "deepanalyze" if "deepanalyze" in plain else "chat"


async def open_client(config: ModelConfig) -> AsyncOpenAI:
    """In a thread: reading the certificates takes longer than the event loop may be held."""
    return await asyncio.to_thread(_client, config)


def _client(config: ModelConfig) -> AsyncOpenAI:
    """Retries are ours, so that none happens once text has been shown."""
    key = config.api_key.get_secret_value() if config.api_key else ""
    client = AsyncOpenAI(
        base_url=str(config.base_url),
        api_key=key or _NO_KEY,
        timeout=openai.Timeout(config.timeout_s, connect=_CONNECT_TIMEOUT_S),
        max_retries=0,
    )
    _ = client.chat.completions  # imports a good part of the package when first asked for
    return client


class OpenAIModel:
    """One model of one server; connections are opened when first needed and ended by `aclose`."""

    def __init__(
        self, config: ModelConfig, *, client: AsyncOpenAI | None = None, retries: RetryPolicy | None = None
    ) -> None:
        self._config = config
        self._client = client
        self._retries = retries or RetryPolicy()
        self._asks_for_usage = True

    @property
    def id(self) -> str:
        return self._config.id

    @property
    def prices(self) -> Prices | None:
        config = self._config
        if config.input_price is None and config.output_price is None:
            return None
        return Prices(config.input_price or 0, config.output_price or 0)

    @property
    def protocol(self) -> Protocol:
        return protocol_of(self._config)

    async def stream(
        self, conversation: Conversation, options: SamplingOptions
    ) -> AsyncGenerator[Chunk, None]:
        request = self._request(conversation, options)
        for attempt in range(1, self._retries.max_attempts + 1):
            started = False
            try:
                async with aclosing(self._answer(request)) as chunks:
                    async for chunk in chunks:
                        started = started or bool(chunk.text)
                        yield chunk
                return
            except FAILURES as error:
                if started or attempt == self._retries.max_attempts or not is_transient(error):
                    raise model_unavailable(self._config, error, started=started) from error
                delay = self._delay(attempt, error)
            await asyncio.sleep(delay)

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _answer(self, request: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
        async with await self._open(request) as stream:
            async for event in stream:
                yield _chunk(event)

    async def _open(self, request: dict[str, Any]) -> _Stream:
        if self._client is None:
            self._client = await open_client(self._config)
        create = cast("Callable[..., Awaitable[_Stream]]", self._client.chat.completions.create)
        if not self._asks_for_usage:
            return await create(**request)
        try:
            return await create(**request, stream_options={"include_usage": True})
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            if "stream_options" not in str(error):
                raise
        self._asks_for_usage = False
        return await create(**request)

    def _request(self, conversation: Conversation, options: SamplingOptions) -> dict[str, Any]:
        config = self._config
        messages = render(conversation, self.protocol, context_tokens=config.context_tokens)
        wanted = {
            "temperature": _first(options.temperature, config.temperature, self._default_temperature()),
            "top_p": options.top_p,
            "max_tokens": options.max_tokens,
            "seed": options.seed,
        }
        return {
            "model": config.id,
            "messages": messages,
            "stream": True,
            "stop": [CODE_END, *options.stop][:_MAX_STOPS],
            **{name: value for name, value in wanted.items() if value is not None},
            "extra_body": {**self._protocol_fields(), **config.extra_body, **options.extra},
        }

    def _default_temperature(self) -> float | None:
        return _DEEPANALYZE_TEMPERATURE if self.protocol == "deepanalyze" else None

    def _protocol_fields(self) -> dict[str, Any]:
        """DeepAnalyze-8B goes on writing where the output of its code ends, without a new speaker's header."""
        if self.protocol == "chat":
            return {}
        return {"add_generation_prompt": False, "stop_token_ids": _DEEPANALYZE_STOP_TOKENS}

    def _delay(self, attempt: int, error: Exception) -> float:
        asked_for = min(retry_after_s(error) or 0, _MAX_RETRY_AFTER_S)
        backoff = min(self._retries.base_delay_s * 2.0 ** (attempt - 1), self._retries.max_delay_s)
        return max(asked_for, backoff * random.uniform(0.5, 1))  # noqa: S311  # jitter, not a secret


def _chunk(event: ChatCompletionChunk) -> Chunk:
    choice = event.choices[0] if event.choices else None
    told = event.usage
    usage = TokenUsage(told.prompt_tokens or 0, told.completion_tokens or 0) if told else None
    if choice is None:
        return Chunk(usage=usage)
    return Chunk((choice.delta and choice.delta.content) or "", choice.finish_reason, usage)


def _first(*values: float | None) -> float | None:
    return next((v for v in values if v is not None), None)
