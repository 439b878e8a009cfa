"""How far one analysis may go, and how many there may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """Caps of one analysis; each ends it in the open, never silently."""

    max_rounds: int = 30
    max_analysis_s: float = 60 * 60
    max_analysis_tokens: int = 2_000_000
    """Read and written, of all model calls; 0 for no limit."""
    max_analysis_cost: float = 0
    """In the currency of the models' prices; 0 for no limit."""
    code_timeout_s: float = 120
    max_output_chars: int = 12_000
    """What the model (and the answer's text) gets of one block's output: its head and its tail."""
    max_nudges: int = 2
    """How often in a row a model is asked to go on that has sent neither code nor an answer."""
    drain_s: float = 2
    """How long the end of a reply (its usage) is awaited after its last tag was closed."""


@dataclass(frozen=True, slots=True)
class JobLimits:
    """How many analyses run at the same time, of all users and of one, and how many of one user may wait."""

    max_running: int = 8
    max_running_per_user: int = 4
    max_queued_per_user: int = 100


def head_and_tail(text: str, limit: int) -> str:
    """`text`, or its first two thirds and its last third with a line between them that says what was left out."""
    if len(text) <= limit:
        return text
    head, tail = limit * 2 // 3, limit // 3
    left_out = len(text) - head - tail
    return f"{text[:head]}\n… {left_out:,} characters left out …\n{text[-tail:]}"
