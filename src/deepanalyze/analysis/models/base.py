"""The seam to whatever writes the analysis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from deepanalyze.analysis.conversation import Conversation, SamplingOptions


@dataclass(frozen=True, slots=True)
class TokenUsage:
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens
        )


@dataclass(frozen=True, slots=True)
class Prices:
    """Of a million tokens each, in whatever currency."""

    input_per_million: float
    output_per_million: float

    def cost(self, usage: TokenUsage) -> float:
        read = usage.prompt_tokens * self.input_per_million
        return (read + usage.completion_tokens * self.output_per_million) / 1_000_000


@dataclass(frozen=True, slots=True)
class Replaced:
    """Another model is asked instead of the one that failed."""

    failed: str
    because: str
    model: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the model's text, as it sent it; the last ones may carry why it stopped and what it cost.

    `usage` is what has come to that of the chunks before it.
    """

    text: str = ""
    finish_reason: str | None = None
    usage: TokenUsage | None = None
    replaced: Replaced | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model; None where nobody has told.

    Args:
        context_tokens: as configured, else as its server tells.
        reachable: whether its server answered when it was last asked.
        listed: whether its server lists it.
    """

    id: str
    owned_by: str
    created: int = 0
    context_tokens: int | None = None
    protocol: str | None = None
    images: bool = False
    reachable: bool | None = None
    listed: bool | None = None


class ModelClient(Protocol):
    """One model. Called by the analysis loop once for each round."""

    @property
    def id(self) -> str: ...

    @property
    def prices(self) -> Prices | None:
        """None where nobody has said what it costs."""

    @property
    def takes_images(self) -> bool: ...

    def stream(self, conversation: Conversation, options: SamplingOptions) -> AsyncIterator[Chunk]:
        """Yields the model's text until it stops. Closing the iterator ends the request at once.

        The text of a round that wants code run ends with, or just before, `</Code>`. Raises ModelUnavailable.
        """


class ModelCatalog(Protocol):
    """All models that this server offers."""

    async def list(self) -> Sequence[ModelInfo]: ...

    async def get(self, model_id: str) -> ModelClient:
        """Raises ModelNotFound, naming what there is."""

    async def probed(self) -> Sequence[str]:
        """What was not as configured when the model servers were asked at the start, as sentences for people."""
