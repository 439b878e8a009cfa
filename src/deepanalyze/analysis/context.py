"""Keeping a long conversation inside the length of a model's context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from deepanalyze.analysis.budget import CHARS_PER_TOKEN
from deepanalyze.analysis.conversation import Turn
from deepanalyze.analysis.limits import head_and_tail

_SHARE = 0.75  # the rest is for the reply
_SHORT = 200
_LEFT_OUT = "[left out here: the conversation is longer than the model's context]"
_SMALLEST_OUTPUT = 1_000


def fit(turns: Sequence[Turn], context_tokens: int | None, *, beside_chars: int = 0) -> list[Turn]:
    """`turns`, shortened where they would not fit; `beside_chars` are sent with them.

    What goes first is worth least: old outputs, then the texts of earlier answers, then earlier questions with their
    answers, then what the model wrote at the beginning of this analysis, and last of all a part of the newest output.
    What the newest question asks is never left out, nor is the client's system message.
    """
    if context_tokens is None:
        return list(turns)
    kept: dict[int, Turn] = dict(enumerate(turns))
    excess = sum(len(t.text) for t in turns) + beside_chars - int(context_tokens * CHARS_PER_TOKEN * _SHARE)
    for index, shortened in _ways(turns):
        if excess <= 0:
            break
        excess -= len(kept[index].text) - (len(shortened.text) if shortened else 0)
        if shortened is None:
            del kept[index]
        else:
            kept[index] = shortened
    if excess > 0 and turns and turns[-1].role == "execute":
        room = max(_SMALLEST_OUTPUT, len(turns[-1].text) - excess)
        kept[len(turns) - 1] = replace(turns[-1], content=head_and_tail(turns[-1].text, room))
    return [kept[index] for index in sorted(kept)]


def _ways(turns: Sequence[Turn]) -> Iterator[tuple[int, Turn | None]]:
    """What can be shortened, and how, in order; None where a turn goes altogether."""
    asked = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=0)
    yield from ((i, _shortened(t)) for i, t in enumerate(turns[:-1]) if t.role == "execute")
    yield from ((i, _shortened(t)) for i, t in enumerate(turns[:asked]) if t.role == "assistant")
    yield from ((i, None) for i, t in enumerate(turns[:asked]) if t.role != "system")
    written = [(i, turn) for i, turn in enumerate(turns) if i > asked and turn.role == "assistant"]
    yield from ((i, _shortened(turn)) for i, turn in written[:-1])


def _shortened(turn: Turn) -> Turn:
    if len(turn.text) <= _SHORT + len(_LEFT_OUT):
        return turn
    return replace(turn, content=f"{turn.text[:_SHORT]}\n{_LEFT_OUT}")
