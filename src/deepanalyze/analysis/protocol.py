"""The tags in which a model writes its analysis, read while they stream.

A reply is made of `<Analyze>`, `<Understand>`, `<Code>` and `<Answer>` blocks; the loop adds `<Execute>` and `<File>`.
`TagParser` cuts a text into pieces without ever needing all of it; any chunking gives the same pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from deepanalyze.analysis.fences import open_fence

TAGS = ("Analyze", "Understand", "Code", "Execute", "File", "Answer")
THINK = "think"

_MARK = re.compile(rf"<(/?)({'|'.join((*TAGS, THINK))})>")
_MARKS = tuple(f"<{slash}{tag}>" for tag in (*TAGS, THINK) for slash in ("", "/"))
_LONGEST_MARK = max(map(len, _MARKS))
_MAX_LOOKS = 100


@dataclass(frozen=True, slots=True)
class Piece:
    """`raw` is the text as it came; `open` and `close` pieces hold a tag, or nothing where the model left it out."""

    kind: Literal["open", "text", "close"]
    tag: str | None
    raw: str


class TagParser:
    """Feed it text in any pieces; `finish` hands out what it still held back.

    A tag that directly follows a backtick is a mention of the tag. `<Answer>`, `<Execute>` and thoughts end with their
    own closing tag only. Inside `<Code>` another block's tag counts at the start of a line outside a code fence, which
    tells that the model forgot `</Code>`. A `</think>` without its beginning (which the server's template may have
    written) ends whatever seemed to be open: all before it was thought.
    """

    def __init__(self) -> None:
        self.tag: str | None = None
        self._pending = ""
        self._last = "\n"
        self._line_is_blank = True
        self._code: list[str] = []
        self._looks = 0

    @property
    def pending(self) -> str:
        """What may turn out to be the beginning of a tag."""
        return self._pending

    def feed(self, text: str) -> list[Piece]:
        text = self._pending + text
        pieces: list[Piece] = []
        position = 0
        for match in _MARK.finditer(text):
            pieces += self._text(text[position : match.start()])
            pieces += self._mark(match.group(), match.group(2), closing=bool(match.group(1)))
            position = match.end()
        end = max(position, len(text) - _partial_mark(text))
        self._pending = text[end:]
        return [*pieces, *self._text(text[position:end])]

    def finish(self) -> list[Piece]:
        rest, self._pending = self._pending, ""
        return list(self._text(rest))

    def _text(self, raw: str) -> Iterator[Piece]:
        if not raw:
            return
        _, newline, line = raw.rpartition("\n")
        self._line_is_blank = not line.strip() and (bool(newline) or self._line_is_blank)
        self._last = raw[-1]
        if self.tag == "Code":
            self._code.append(raw)
        yield Piece("text", self.tag, raw)

    def _mark(self, mark: str, tag: str, *, closing: bool) -> Iterator[Piece]:
        if not self._counts(tag, closing=closing):
            yield from self._text(mark)
        elif closing:
            yield self._closed(mark, tag)
        else:
            yield from self._opened(mark, tag)
        self._last = mark[-1]

    def _counts(self, tag: str, *, closing: bool) -> bool:
        if closing and tag == self.tag:
            return True
        if self._last == "`" or self.tag == "Execute":
            return False
        if closing and tag == THINK:
            return not self._in_fenced_code()
        if self.tag == "Code":
            return not closing and tag != THINK and self._line_is_blank and not self._in_fenced_code()
        if self.tag in ("Answer", THINK):
            return False
        return not closing or {tag, self.tag} <= {"Analyze", "Understand"}

    def _in_fenced_code(self) -> bool:
        """Each look reads all of the code; a program that writes that many tags has them in its texts."""
        if self.tag != "Code":
            return False
        self._looks += 1
        return self._looks > _MAX_LOOKS or open_fence("".join(self._code)) is not None

    def _opened(self, mark: str, tag: str) -> Iterator[Piece]:
        if self.tag is not None:
            yield Piece("close", self.tag, "")
        self.tag, self._line_is_blank, self._code, self._looks = tag, True, [], 0
        yield Piece("open", tag, mark)

    def _closed(self, mark: str, tag: str) -> Piece:
        closed = THINK if tag == THINK else self.tag
        self.tag, self._line_is_blank = None, True
        return Piece("close", closed, mark)


def _partial_mark(text: str) -> int:
    """How many characters at the end of `text` may be the beginning of a tag."""
    start = text.rfind("<", max(0, len(text) - _LONGEST_MARK + 1))
    if start < 0:
        return 0
    return len(text) - start if any(m.startswith(text[start:]) for m in _MARKS) else 0


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a text: `tag` is None for what stands outside all tags; `closed` says that its end was written."""

    tag: str | None
    text: str
    closed: bool = True


def pieces(text: str) -> list[Piece]:
    parser = TagParser()
    return [*parser.feed(text), *parser.finish()]


def blocks(text: str) -> list[Block]:
    """Cuts a whole text into its blocks, in order."""
    return list(fold(pieces(text)))


def spoken(pieces: Iterable[Piece]) -> list[Piece]:
    """Leaves out the model's thoughts; an end of thought without a beginning makes all before it one."""
    kept: list[Piece] = []
    thinking = False
    for piece in pieces:
        if piece.tag != THINK:
            kept.append(piece)
            continue
        if piece.kind == "close" and not thinking:
            kept.clear()
        thinking = piece.kind != "close"
    return kept


def fold(pieces: Iterable[Piece]) -> Iterator[Block]:
    tag: str | None = None
    body: list[str] = []
    for piece in pieces:
        if piece.kind == "text":
            body.append(piece.raw)
            continue
        untagged_thought = piece.kind == "close" and piece.tag != tag
        if tag is not None or body:
            yield Block(
                THINK if untagged_thought else tag, "".join(body), closed=bool(piece.raw) or tag is None
            )
        tag, body = (piece.tag, []) if piece.kind == "open" else (None, [])
    if tag is not None or body:
        yield Block(tag, "".join(body), closed=tag is None)
