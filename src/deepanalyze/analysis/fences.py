"""Code fences (```python … ```), and the programs in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PYTHON = frozenset({"python", "py", "python3", "ipython", "ipython3"})

# A fence inside a triple-quoted string belongs to a text that the program writes, so strings have to be seen too.
# One that is never closed ends with its line: else each quote in it would be tried as its beginning.
_TOKEN = re.compile(
    r"^[ \t]*(?P<ticks>`{3,}|~{3,})[ \t]*(?P<language>[^\n`]*)$"
    r'|(?P<quotes>"""|\'\'\')'
    r'|"(?:\\.|[^"\\\n])*"?'
    r"|'(?:\\.|[^'\\\n])*'?"
    r"|#[^\n]*",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Fence:
    ticks: str
    language: str
    body: str
    closed: bool


def fences(text: str) -> Iterator[Fence]:
    position = 0
    while opening := _next_fence(text, position):
        start = min(opening.end() + 1, len(text))
        closing = _next_fence(text, start, closes=opening["ticks"])
        end = closing.start() if closing else len(text)
        language = opening["language"].strip().lower()
        yield Fence(opening["ticks"], language, text[start:end], closed=closing is not None)
        position = closing.end() if closing else len(text)


def _next_fence(text: str, position: int, closes: str | None = None) -> re.Match[str] | None:
    """The next fence outside strings; where a string never ends, the last one inside it."""
    while token := _TOKEN.search(text, position):
        position = token.end()
        if token["quotes"]:
            end = text.find(token["quotes"], position)
            if end < 0:
                return _last_fence(text, position, closes)
            position = end + 3
        elif token["ticks"] and _fits(token, closes):
            return token
    return None


def _last_fence(text: str, position: int, closes: str | None) -> re.Match[str] | None:
    last = None
    for token in _TOKEN.finditer(text, position):
        if token["ticks"] and _fits(token, closes):
            last = token
    return last


def _fits(fence: re.Match[str], closes: str | None) -> bool:
    return closes is None or (fence["ticks"].startswith(closes) and not fence["language"].strip())


def open_fence(text: str) -> str | None:
    """The ticks that would close the fence in which the text ends; None when it ends outside of one."""
    return next((fence.ticks for fence in fences(text) if not fence.closed), None)


def code_of(body: str) -> str:
    """The program in a `<Code>` block: what its fences hold, or all of it where it has none."""
    found = [fence.body for fence in fences(body)]
    return ("\n".join(found) if found else body).strip("\n").rstrip()


def python_fences(text: str) -> str:
    """The Python in a text whose author does not use the tags."""
    return "\n\n".join(f.body.rstrip() for f in fences(text) if f.language in _PYTHON and f.closed)


def fenced(text: str) -> str:
    """`text` in a fence longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    ticks = "`" * (longest + 1)
    return f"{ticks}\n{text}\n{ticks}"
