"""Tracebacks as whoever wrote the code needs them: its own lines whole, of the libraries' what was called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

# One frame as IPython writes it: `File …/site-packages/pandas/core/frame.py:4330, in DataFrame.__getitem__(self, key)`,
# and below it the lines around. Compiled libraries have relative paths.
_LIBRARY = re.compile(
    r"File (?:[^\n]*/(?:site-packages|dist-packages|lib/python3\.\d+)/(?P<path>[^\n]+?)"
    r"|(?P<compiled>[^/\n][^\n]*?\.p[yx][xi]))"
    r":(?P<line>\d+), (?P<where>in [^\n]+)"
)
_KEPT = 3  # of the frames that follow each other in libraries: the one that was called, and the last ones


def shorten(shell: Any) -> None:
    whole = shell.InteractiveTB.structured_traceback

    def shortened(*args: Any, **kwargs: Any) -> list[str]:
        return list(short(whole(*args, **kwargs)))

    shell.InteractiveTB.structured_traceback = shortened


def short(parts: Sequence[str]) -> Iterator[str]:
    """`parts` are IPython's: the head, a part for each frame, the exception; again for what it was raised from."""
    for in_library, run in groupby(parts, key=lambda part: _LIBRARY.match(part) is not None):
        if not in_library:
            yield from run
            continue
        frames = [_line(part) for part in run]
        left_out = len(frames) - _KEPT
        if left_out > 1:  # the note takes a line, too
            frames[1 : 1 + left_out] = [f"    … {left_out} more frames …"]
        yield from frames


def _line(frame: str) -> str:
    match = _LIBRARY.match(frame)
    assert match is not None
    return f"File {match['path'] or match['compiled']}:{match['line']}, {match['where']}"
