"""Models behind an OpenAI-compatible server: vLLM with DeepAnalyze-8B, or any other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import openai
from openai import AsyncOpenAI

from deepanalyze.analysis.conversation import Conversation, SamplingOptions
from deepanalyze.analysis.models.base import Chunk, Prices
from deepanalyze.analysis.models.connection import open_client, stream_answer
from deepanalyze.analysis.models.failures import FAILURES, is_transient, model_unavailable, retry_after_s
from deepanalyze.analysis.prompt import Protocol, render
from deepanalyze.datasources.limits import RetryPolicy
from deepanalyze.settings import ModelConfig

CODE_END = "</Code>"
_DEEPANALYZE_STOP_TOKENS = [151676, 151645]
_DEEPANALYZE_TEMPERATURE = 0.4
_MAX_STOPS = 4  # OpenAI's limit
_MAX_RETRY_AFTER_S = 20


def protocol_of(config: ModelConfig) -> Protocol:
    if config.protocol is not None:
        return config.protocol
    plain = config.id.lower().replace("-", "").replace("_", "").replace(" ", "")
    return "deepanalyze" if "deepanalyze" in plain else "chat"


def takes_images(config: ModelConfig) -> bool:
    return protocol_of(config) == "chat" if config.images is None else config.images


class OpenAIModel:
    """One model of one server; connections are opened when first needed and ended by `aclose`.

    Args:
        told_context: the length of its context as its server tells, where the configuration does not.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        client: AsyncOpenAI | None = None,
        retries: RetryPolicy | None = None,
        told_context: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._config = config
        self._client = client
        self._retries = retries or RetryPolicy()
        self._told_context = told_context
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

    @property
    def takes_images(self) -> bool:
        return takes_images(self._config)

    @property
    def context_tokens(self) -> int | None:
        return self._config.context_tokens or self._told_context()

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
                if started or attempt == self._retries.max_attempts or not self._worth_another(error):
                    raise model_unavailable(self._config, error, started=started) from error
                delay = self._delay(attempt, error)
            await asyncio.sleep(delay)

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _answer(self, request: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
        if self._client is None:
            self._client = await open_client(self._config)
        if self._asks_for_usage:
            try:
                async with aclosing(
                    self._stream({**request, "stream_options": {"include_usage": True}})
                ) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if "stream_options" not in str(error):
                    raise
            self._asks_for_usage = False
        async with aclosing(self._stream(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _stream(self, request: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
        assert self._client is not None
        return stream_answer(self._client, request, timeout_s=self._config.timeout_s)

    def _request(self, conversation: Conversation, options: SamplingOptions) -> dict[str, Any]:
        config = self._config
        messages = render(conversation, self.protocol, context_tokens=self.context_tokens)
        wanted = {
            "temperature": _first(options.temperature, config.temperature, self._default_temperature()),
            "top_p": options.top_p,
            "max_tokens": options.max_tokens,
            "seed": options.seed,
        }
        return {
            "model": config.id,
            "messages": _sendable(messages),
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

    @staticmethod
    def _worth_another(error: Exception) -> bool:
        """A server that asks for a long pause gets it: the client, or another model, does better meanwhile."""
        return is_transient(error) and (retry_after_s(error) or 0) <= _MAX_RETRY_AFTER_S

    def _delay(self, attempt: int, error: Exception) -> float:
        backoff = min(self._retries.base_delay_s * 2.0 ** (attempt - 1), self._retries.max_delay_s)
        jitter = random.uniform(0.5, 1)  # noqa: S311  # not a secret
        return max(retry_after_s(error) or 0, backoff * jitter)


def _first(*values: float | None) -> float | None:
    return next((v for v in values if v is not None), None)


def _sendable(value: Any) -> Any:
    """Texts may hold half a character, as generated code prints them; JSON may not."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [_sendable(each) for each in value]
    return {key: _sendable(each) for key, each in value.items()} if isinstance(value, dict) else value
