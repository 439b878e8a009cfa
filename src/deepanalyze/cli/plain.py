"""Text of others on a terminal."""

from __future__ import annotations


def plain(text: str) -> str:
    """What a terminal would act on is shown by its code."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
