"""A model with others that stand in for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing

from deepanalyze.analysis.conversation import Conversation, SamplingOptions
from deepanalyze.analysis.images import has_images
from deepanalyze.analysis.models.base import Chunk, ModelClient, Prices, Replaced
from deepanalyze.errors import ModelUnavailable


class FallbackModel:
    """For one analysis: the model that answered last is asked first the next time, so that an analysis does not change
    hands, nor wait, once for each of its rounds.

    `id` and the rest are of the model that is, or was last, asked.

    Args:
        others: ids of those that are asked instead, in order.
        get: finds one of these; they are opened only when they are needed.
    """

    def __init__(
        self, first: ModelClient, others: Sequence[str], get: Callable[[str], Awaitable[ModelClient]]
    ) -> None:
        self._model = first
        self._order = [first.id, *others]
        self._get = get

    @property
    def id(self) -> str:
        return self._model.id

    @property
    def prices(self) -> Prices | None:
        return self._model.prices

    @property
    def takes_images(self) -> bool:
        return self._model.takes_images

    async def stream(
        self, conversation: Conversation, options: SamplingOptions
    ) -> AsyncGenerator[Chunk, None]:
        """Raises ModelUnavailable when all have failed, or one in the middle of its text."""
        failures: list[tuple[str, ModelUnavailable]] = []
        for name in self._from_the_last():
            if failures:
                other = await self._get(name)
                if has_images(conversation.turns) and not other.takes_images:
                    continue
                failed, error = failures[-1]
                self._model = other
                yield Chunk(replaced=Replaced(failed, error.message, name))
            started = False
            try:
                async with aclosing(self._model.stream(conversation, options)) as chunks:  # type: ignore[type-var]
                    async for chunk in chunks:
                        started = started or bool(chunk.text)
                        yield chunk
                return
            except ModelUnavailable as error:
                if started:
                    raise
                failures.append((name, error))
        raise _all_failed(failures)

    def _from_the_last(self) -> Iterator[str]:
        at = self._order.index(self._model.id)
        yield from [*self._order[at:], *self._order[:at]]


def _all_failed(failures: Sequence[tuple[str, ModelUnavailable]]) -> ModelUnavailable:
    first = failures[0][1]
    if len(failures) == 1:
        return first
    waits = [error.retry_after_s for _, error in failures if error.retry_after_s is not None]
    return ModelUnavailable(
        f"{first.message}. So did its fallbacks: " + " | ".join(error.message for _, error in failures[1:]),
        details=[{"model": name, "message": error.message} for name, error in failures],
        retry_after_s=min(waits, default=None),
    )
