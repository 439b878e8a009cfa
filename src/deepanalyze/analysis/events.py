"""What happens in an analysis, in order. SSE, the JSON answer, the stored history and the console render these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from deepanalyze.analysis.models.base import TokenUsage
from deepanalyze.datasources.references import FetchedFile
from deepanalyze.errors import DeepAnalyzeError
from deepanalyze.workspace import WorkspaceFile


@dataclass(frozen=True, slots=True)
class Text:
    """Content for the user, in the pieces the model sent; `<Execute>` and `<File>` blocks come from the loop."""

    text: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """`param` names the reference in the request, as `messages[0].data_sources[1]`; the rate is since it started."""

    param: str
    source: str
    status: Literal["started", "progress", "done", "failed"]
    bytes: int = 0
    rows: int | None = None
    total_bytes: int | None = None
    files: tuple[FetchedFile, ...] = ()
    error: str | None = None
    bytes_per_s: int | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """A code block is about to run; `block` counts from 1 within the analysis."""

    block: int
    code: str


@dataclass(frozen=True, slots=True)
class Execute:
    block: int
    status: Literal["ok", "error", "timeout", "died"]
    output: str
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class File:
    """Code made or changed this file."""

    file: WorkspaceFile


@dataclass(frozen=True, slots=True)
class Status:
    """Something a watcher wants to know: queued, model called, a cap reached, variables lost."""

    message: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of an analysis that was answered. `files` are all that it made, `fetched` all it was given."""

    finish_reason: Literal["stop", "length"]
    usage: TokenUsage
    files: tuple[WorkspaceFile, ...] = ()
    fetched: tuple[FetchedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The last event of an analysis that ended in an error, was cancelled or was cut off by a crash."""

    error: DeepAnalyzeError


Event = Text | Fetch | Code | Execute | File | Status | Finished | Failed


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event with its place in the thread's history, counted from 1 without gaps."""

    n: int
    analysis_id: str
    event: Event
