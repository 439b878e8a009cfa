"""What a model is asked: the question, the data at hand and what has been said so far, free of any wire format.

The loop builds one `Conversation` for each model call. An OpenAI-compatible backend renders it in its protocol
(`analysis.protocol`), the built-in profiler reads it as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from deepanalyze.datasources.base import Column


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file of the workspace as the model is told of it. `columns` is empty where nobody has looked yet."""

    name: str
    bytes: int
    source: str | None = None  # name of the data source; None for an uploaded file
    source_type: str | None = None
    path: str | None = None  # the blob's name
    content_encoding: str | None = None  # how its bytes are compressed, whatever its name says
    sql: str | None = None
    rows: int | None = None
    truncated: bool = False
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """`execute` is the output of the code block that ended the assistant's turn before it.

    `content` is text, or OpenAI content parts for a user's turn that has images.
    """

    role: Literal["system", "user", "assistant", "execute"]
    content: str | list[dict[str, Any]]

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n".join(str(p.get("text", "")) for p in self.content if p.get("type") == "text")


@dataclass(frozen=True, slots=True)
class Conversation:
    """`turns` ends with a user's or an execute turn; the first user's turn of an analysis carries its question."""

    turns: Sequence[Turn]
    files: Sequence[DataFile] = ()

    @property
    def question(self) -> str:
        """The newest thing that the user said."""
        return next((t.text for t in reversed(self.turns) if t.role == "user"), "")


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """What the client asked of the model; None leaves it to the model's own configuration."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)
