"""The conversation that a request continues: what its thread has stored, and what the client sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deepanalyze.analysis.conversation import Turn
from deepanalyze.analysis.records import MessageRecord
from deepanalyze.analysis.transcript import turns_of
from deepanalyze.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Continued:
    """`turns` is the whole conversation as a model gets it, `new` what the thread does not have yet."""

    turns: Sequence[Turn]
    new: Sequence[Turn]


def continued(stored: Sequence[MessageRecord], sent: Sequence[Turn]) -> Continued:
    """A client may send only what is new, or the whole conversation again.

    Where the whole conversation is the thread's own, the stored one counts. Where it differs, because the client has
    edited or shortened it, the client's does.
    """
    if not sent or sent[-1].role != "user":
        raise InvalidRequest("the last message has to be a user's", param="messages")
    answered = max((i for i, turn in enumerate(sent) if turn.role == "assistant"), default=-1)
    earlier, asked = sent[: answered + 1], [t for t in sent[answered + 1 :] if t.role != "system"]
    known = [Turn(message.role, message.content) for message in stored]
    base = known if not earlier or _questions(earlier) == _questions(known) else earlier
    told = [turn for turn in sent if turn.role == "system"]
    system = told or [turn for turn in known if turn.role == "system"]
    turns = [*system, *_without_unanswered(base, asked[0]), *asked]
    return Continued(_as_written(turns), [*(t for t in told if t not in known), *asked])


def _questions(turns: Sequence[Turn]) -> list[str]:
    return [turn.text for turn in turns if turn.role == "user"]


def _without_unanswered(turns: Sequence[Turn], question: Turn) -> list[Turn]:
    """A question that got no answer and is now asked again counts once."""
    kept = [turn for turn in turns if turn.role != "system"]
    while kept and kept[-1] == question:
        kept.pop()
    return kept


def _as_written(turns: Sequence[Turn]) -> list[Turn]:
    """An answer's text shows outputs among what the model wrote; a model gets them as turns of their own."""
    written: list[Turn] = []
    for turn in turns:
        written += turns_of(turn.text) if turn.role == "assistant" else [turn]
    return written
