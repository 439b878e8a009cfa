"""One reply of a model: what is kept of it, and what it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from deepanalyze.analysis.fences import code_of, open_fence, python_fences
from deepanalyze.analysis.protocol import Block, Piece, TagParser, fold, spoken


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished reply; `text` is what goes into the conversation, without the model's thoughts.

    `code` is the program to run, `answer` what the user is told. Where neither is there, the reply is empty,
    was cut off inside its code, or stopped between two steps.
    """

    text: str
    code: str | None = None
    answer: str | None = None
    cut_off: bool = False

    @property
    def empty(self) -> bool:
        return not self.text.strip()


class ReplyReader:
    """Follows a reply while it streams.

    Nothing after the end of its code or its answer belongs to it: a model that goes on there makes up the output of
    code that has not run.
    """

    def __init__(self) -> None:
        self.complete = False
        self.overrun = False  # there was more after the end
        self._parser = TagParser()
        self._pieces: list[Piece] = []
        self._cut_off = False

    @property
    def in_code(self) -> bool:
        return self._parser.tag == "Code"

    def feed(self, text: str) -> str:
        """Takes the next piece; returns what can be shown now. A torn tag is held back until it is whole."""
        if self.complete:
            self.overrun = self.overrun or bool(text.strip())
            return ""
        return self._take(self._parser.feed(text))

    def finish(self, finish_reason: str | None) -> str:
        """Ends the reply; returns what is still to be shown: the rest, and tags that the stop string cut off."""
        if self.complete:
            return ""
        tag, pending = self._parser.tag, self._parser.pending
        if tag is None:
            return self._take(self._parser.finish())
        self._cut_off = tag == "Code" and finish_reason == "length"
        half_closed = len(pending) > 1 and f"</{tag}>".startswith(pending)
        shown = "" if half_closed else self._take(self._parser.finish())
        return shown + self._take([Piece("close", tag, self._missing_end(tag))])

    def reply(self) -> Reply:
        pieces = spoken(self._pieces)
        parts = list(fold(pieces))
        text = "".join(piece.raw for piece in pieces).lstrip()
        if self._cut_off:
            return Reply(text, cut_off=True)
        code = next((code_of(b.text) for b in parts if b.tag == "Code" and b.closed), None)
        answer = next((b.text.strip() for b in parts if b.tag == "Answer"), None)
        if code is None and answer is None:
            code = python_fences("".join(b.text for b in parts)) or None
            answer = None if code else _untagged_answer(parts)
        return Reply(text, code or None, answer)

    def _take(self, pieces: Sequence[Piece]) -> str:
        shown = ""
        for piece, following in zip_longest(pieces, pieces[1:]):
            if self.complete:
                self.overrun = self.overrun or bool(piece.raw.strip())
            else:
                shown += self._keep(_closed_code(piece, following))
        return shown

    def _keep(self, piece: Piece) -> str:
        self._pieces.append(piece)
        self.complete = piece.kind == "close" and piece.tag in ("Code", "Answer") and bool(piece.raw)
        return piece.raw

    def _missing_end(self, tag: str) -> str:
        opened = max(n for n, piece in enumerate(self._pieces) if piece.kind == "open")
        body = "".join(piece.raw for piece in self._pieces[opened + 1 :])
        ticks = open_fence(body) if tag == "Code" else None
        return f"\n{ticks}\n</{tag}>" if ticks else f"</{tag}>"


def _closed_code(piece: Piece, following: Piece | None) -> Piece:
    """Gives code whose `</Code>` was forgotten its end; a second `<Code>` instead starts the code anew."""
    forgotten = piece == Piece("close", "Code", "") and following is not None and following.tag != "Code"
    return Piece("close", "Code", "\n</Code>") if forgotten else piece


def _untagged_answer(parts: Sequence[Block]) -> str | None:
    """What stands after the last tag, or all of a reply without tags."""
    last = parts[-1] if parts else None
    return (last.text.strip() or None) if last and last.tag is None else None
