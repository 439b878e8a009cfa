"""Putting Python text together. Names and values of the data enter it only as literals made here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources


def literal(value: object) -> str:
    """Python source of a string, number, or list or mapping of such, which cannot end the code block either."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, str) or not isinstance(value, Iterable):
        text = re.sub(r"<(?=[/A-Za-z|])", r"\\x3c", repr(value)).replace("```", r"\x60\x60\x60")
        if isinstance(value, str) and "'" not in value and '"' not in value:
            return '"' + text[1:-1] + '"'
        return text
    return "[" + ", ".join(literal(v) for v in value) + "]"


@cache
def kit(module: str) -> str:
    """The text of one module of the kit, as it goes into a block; notes to our own tools are left out."""
    text = resources.files(f"{__package__}.kit").joinpath(f"{module}.py").read_text(encoding="utf-8")
    return re.sub(r"  # (noqa|fmt).*", "", text).strip()


def block(*parts: str | Sequence[str]) -> str:
    lines = [part if isinstance(part, str) else "\n".join(part) for part in parts]
    return "\n\n".join(part for part in lines if part)
