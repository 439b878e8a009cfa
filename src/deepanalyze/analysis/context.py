"""Keeping a long conversation inside the length of a model's context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from deepanalyze.analysis.budget import CHARS_PER_TOKEN
from deepanalyze.analysis.conversation import Turn

_SHARE_FOR_TURNS = 0.7  # the rest is for the system prompt, the data section and the reply
_SHORT = 200
_LEFT_OUT = "[left out here: the conversation is longer than the model's context]"


def fit(turns: Sequence[Turn], context_tokens: int | None) -> list[Turn]:
    """`turns`, shortened where they would not fit: first old outputs, then the oldest answers.

    The newest question and what follows it are never left out; only their outputs are shortened.
    """
    if context_tokens is None:
        return list(turns)
    excess = sum(len(t.text) for t in turns) - int(context_tokens * CHARS_PER_TOKEN * _SHARE_FOR_TURNS)
    asked = max((i for i, t in enumerate(turns) if t.role == "user"), default=0)
    fitted = list(turns)
    outputs = [i for i, t in enumerate(turns[:-1]) if t.role == "execute"]
    earlier = [i for i, t in enumerate(turns[:asked]) if t.role == "assistant"]
    for index in [*outputs, *earlier]:
        if excess <= 0:
            break
        shortened = _shortened(fitted[index])
        excess -= len(fitted[index].text) - len(shortened.text)
        fitted[index] = shortened
    return fitted


def _shortened(turn: Turn) -> Turn:
    if len(turn.text) <= _SHORT + len(_LEFT_OUT):
        return turn
    return replace(turn, content=f"{turn.text[:_SHORT]}\n{_LEFT_OUT}")
