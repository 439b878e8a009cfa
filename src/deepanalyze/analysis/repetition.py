"""Notices that a model goes round in circles: such an analysis would go on to its last round and find nothing more."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_ADVICE = "Doing it again changes nothing: try something else, or give the <Answer> with what you know."
_MAX_NOTES = 2  # for different things: whoever repeats itself in a third way is not listening


@dataclass(frozen=True, slots=True)
class Repeated:
    """`note` is for the model; `why` says why the analysis has to end."""

    note: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    told_at: int
    ends_at: int
    note: str
    why: str


_BOTH = _Kind(
    2,
    3,
    "You have run exactly this code before, with exactly this output.",
    "after the same code had given the same output {} times",
)
# These two are told later: code may be waiting for something, and one error be hunted with different code.
_CODE = _Kind(
    3, 5, "You have run exactly this code three times.", "after the same code had been run {} times"
)
_OUTPUT = _Kind(
    3,
    5,
    "Different code has given exactly this output three times in a row.",
    "after {} code blocks in a row had given the same output",
)


class Repetition:
    def __init__(self) -> None:
        self._both: Counter[tuple[str, str]] = Counter()
        self._codes: Counter[str] = Counter()
        self._last_output: str | None = None
        self._in_a_row = 0
        self._notes = 0

    def look(self, code: str, output: str) -> Repeated:
        """`output` is empty where the code said nothing, which many steps have in common."""
        code, output = _essence(code), _ADDRESS.sub("0x…", output).strip()
        self._both[code, output] += 1
        self._codes[code] += 1
        self._in_a_row = self._in_a_row + 1 if output and output == self._last_output else 1
        self._last_output = output
        counted = ((_BOTH, self._both[code, output]), (_CODE, self._codes[code]), (_OUTPUT, self._in_a_row))
        for kind, times in counted:
            if times >= kind.ends_at:
                return Repeated(why=kind.why.format(times))
        for kind, times in counted:
            if times == kind.told_at:
                return self._told(kind)
        return Repeated()

    def _told(self, kind: _Kind) -> Repeated:
        self._notes += 1
        if self._notes > _MAX_NOTES:
            return Repeated(why="after it had begun to repeat itself for the third time")
        return Repeated(note=f"[{kind.note} {_ADVICE}]")


def _essence(code: str) -> str:
    """Without empty lines and comments on lines of their own, which a model varies."""
    lines = (line.rstrip() for line in code.splitlines())
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))
