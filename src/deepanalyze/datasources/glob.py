"""Globs over names: `*`, `?` and `[…]` within a folder, `**` across folders, `{a,b}` for alternatives."""

from __future__ import annotations

import fnmatch
import itertools
import re
from functools import cached_property

from deepanalyze.errors import InvalidRequest

_SPECIAL = re.compile(r"[*?\[{]")
_WILDCARD = re.compile(r"[*?\[]")
_MAX_ALTERNATIVES = 256

_Part = re.Pattern[str] | None  # None stands for `**`


def is_glob(path: str) -> bool:
    return _SPECIAL.search(path) is not None


class Glob:
    """One pattern. Matching takes time proportional to name and pattern, whatever they are (no backtracking)."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._plain = list(dict.fromkeys(_expand(pattern)))

    @cached_property
    def _alternatives(self) -> list[list[_Part]]:
        return [_compile(plain) for plain in self._plain]

    @cached_property
    def prefixes(self) -> list[str]:
        """What every match begins with one of; none of them is the beginning of another."""
        literal = sorted(_WILDCARD.split(plain, maxsplit=1)[0] for plain in self._plain)
        kept: list[str] = []
        for prefix in literal:
            if not kept or not prefix.startswith(kept[-1]):
                kept.append(prefix)
        return kept

    @cached_property
    def depth(self) -> int | None:
        """How many parts the names of matches have at most; None where `**` lets them have any number."""
        parts = [plain.split("/") for plain in self._plain]
        return None if any("**" in of for of in parts) else max(map(len, parts))

    def matches(self, name: str) -> bool:
        parts = name.split("/")
        return any(_match(pattern, parts) for pattern in self._alternatives)


def _compile(pattern: str) -> list[_Part]:
    parts: list[_Part] = []
    for part in pattern.split("/"):
        if part != "**":
            # translate() joins what stands between stars with atomic groups, so it cannot backtrack either
            parts.append(re.compile(fnmatch.translate(part)))
        elif not parts or parts[-1] is not None:
            parts.append(None)
    return parts


def _match(pattern: list[_Part], parts: list[str]) -> bool:
    """Greedy, as for `*` within a text: only the last `**` ever has to take one more folder."""
    at = place = 0
    resume: tuple[int, int] | None = None
    while place < len(parts):
        if at < len(pattern) and pattern[at] is None:
            resume = (at, place)
            at += 1
        elif at < len(pattern) and _fits(pattern[at], parts[place]):
            at, place = at + 1, place + 1
        elif resume is not None:
            resume = (resume[0], resume[1] + 1)
            at, place = resume[0] + 1, resume[1]
        else:
            return False
    return at == len(pattern)


def _fits(part: _Part, text: str) -> bool:
    return part is not None and part.match(text) is not None


def _expand(pattern: str) -> list[str]:
    """`a{b,c}d` as `abd` and `acd`; braces may nest; without a partner they are ordinary characters."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        current = waiting.pop()
        found = _first_braces(current)
        if found is None:
            done.append(current)
        else:
            start, end, choices = found
            waiting.extend(current[:start] + choice + current[end:] for choice in reversed(choices))
        if len(done) + len(waiting) > _MAX_ALTERNATIVES:
            raise InvalidRequest(
                f"the braces of the pattern stand for more than {_MAX_ALTERNATIVES} alternatives; use '*'",
                param="path",
            )
    return done


def _first_braces(pattern: str) -> tuple[int, int, list[str]] | None:
    """Start, end and choices of the first balanced braces that hold a comma."""
    opened: list[list[int]] = []  # for each open brace: its place, then those of its commas
    best: list[int] | None = None
    for place, character in enumerate(pattern):
        if character == "{":
            opened.append([place])
        elif character == "," and opened:
            opened[-1].append(place)
        elif character == "}" and opened:
            marks = [*opened.pop(), place]
            if len(marks) > 2 and (best is None or marks[0] < best[0]):
                best = marks
    if best is None:
        return None
    choices = [pattern[left + 1 : right] for left, right in itertools.pairwise(best)]
    return best[0], best[-1] + 1, choices
