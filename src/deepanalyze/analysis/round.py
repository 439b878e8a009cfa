"""One model call of an analysis: shows the reply while it streams, then says what it asks for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import asdict

from deepanalyze.analysis.conversation import Conversation, SamplingOptions
from deepanalyze.analysis.events import Status, Text
from deepanalyze.analysis.models.base import Chunk, ModelClient, Replaced, TokenUsage
from deepanalyze.analysis.reply import Reply, ReplyReader
from deepanalyze.analysis.transcript import replacement_notice
from deepanalyze.errors import ModelUnavailable
from deepanalyze.telemetry import CallOutcome, Telemetry


class Round:
    """Use `events` once; afterwards the attributes tell how it went.

    Args:
        deadline: when the analysis has to end, by the event loop's clock.
        max_chars: where a reply that goes on and on is cut off, as at the model's own token limit.
        drain_s: how long the end of a complete reply is awaited, for what it cost.
        on_code: called once when the reply begins to write code.
    """

    def __init__(
        self,
        model: ModelClient,
        *,
        deadline: float,
        drain_s: float,
        max_chars: int | None = None,
        on_code: Callable[[], None],
        telemetry: Telemetry,
    ) -> None:
        self.usage = TokenUsage()
        self.finish_reason: str | None = None
        self.out_of_time = False
        self.reply = Reply("")
        self._model = model
        self._deadline = deadline
        self._drain_s = drain_s
        self._chars_left = max_chars
        self._on_code = on_code
        self._telemetry = telemetry
        self._reader = ReplyReader()
        self._replaced: Replaced | None = None
        self._in_code = False

    @property
    def wants_code(self) -> bool:
        return self.reply.code is not None and not self.out_of_time

    async def events(
        self, conversation: Conversation, options: SamplingOptions
    ) -> AsyncGenerator[Text | Status, None]:
        with self._measured():
            async with aclosing(self._texts(conversation, options)) as texts:
                async for text in texts:
                    yield text

    @contextmanager
    def _measured(self) -> Iterator[None]:
        started = time.perf_counter()
        outcome: CallOutcome = "cancelled"
        try:
            yield
            outcome = "timeout" if self.out_of_time else "ok"
        except Exception:
            outcome = "failed"
            raise
        finally:
            self._telemetry.model_called(outcome, time.perf_counter() - started, **asdict(self.usage))

    async def _texts(
        self, conversation: Conversation, options: SamplingOptions
    ) -> AsyncGenerator[Text | Status, None]:
        async with aclosing(self._model.stream(conversation, options)) as chunks:  # type: ignore[type-var]
            while chunk := await self._next(chunks):
                if chunk.replaced:
                    self._replaced = chunk.replaced
                    yield _told(chunk.replaced)
                if shown := self._take(chunk):
                    if self._replaced:
                        yield Text(replacement_notice(self._replaced))
                        self._replaced = None
                    yield Text(shown)
                if self._reader.overrun or self._is_too_long(chunk):
                    break
        if rest := self._reader.finish("length" if self.out_of_time else self.finish_reason):
            yield Text(rest)
        self.reply = self._reader.reply()

    async def _next(self, chunks: AsyncIterator[Chunk]) -> Chunk | None:
        now = asyncio.get_running_loop().time()
        until = min(self._deadline, now + self._drain_s) if self._reader.complete else self._deadline
        try:
            async with asyncio.timeout_at(until):
                return await anext(chunks, None)
        except TimeoutError:
            self.out_of_time = not self._reader.complete
            return None
        except ModelUnavailable:
            if not self._reader.complete:
                raise
            return None  # the reply is there; only its end is missing

    def _is_too_long(self, chunk: Chunk) -> bool:
        if self._chars_left is None or self._reader.complete:
            return False
        self._chars_left -= len(chunk.text)
        if self._chars_left >= 0:
            return False
        self.finish_reason = "length"
        return True

    def _take(self, chunk: Chunk) -> str:
        self.usage += chunk.usage or TokenUsage()
        self.finish_reason = chunk.finish_reason or self.finish_reason
        shown = self._reader.feed(chunk.text)
        if self._reader.in_code and not self._in_code:
            self._in_code = True
            self._on_code()
        return shown


def _told(replaced: Replaced) -> Status:
    return Status(
        f"{replaced.because}; asking '{replaced.model}' instead",
        {"model": replaced.model, "instead_of": replaced.failed},
    )
