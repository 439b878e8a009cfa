"""Paths of files in a source, whatever they hold: their last part, and how they are shown."""

from __future__ import annotations

_SHOWN_LENGTH = 300


def base_name(path: str) -> str:
    """The last part of a file's or folder's path; `/` where that part is empty."""
    return path.removesuffix("/").rpartition("/")[2] or "/"


def printable(name: str, length: int = _SHOWN_LENGTH) -> str:
    """A name as it may stand in a message: no control characters, not endless."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    return text if len(text) <= length else text[:length] + "…"
