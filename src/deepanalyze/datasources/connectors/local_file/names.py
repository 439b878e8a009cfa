"""Names of files, which are bytes, as text and back; and paths below the root, what they may be.

A name that is not UTF-8 is shown with `\\xNN` in place of each byte that does not fit. So that every text stands for
one name only, a backslash of a name is shown as `\\x5c` where it would look like the beginning of such a byte.
"""

from __future__ import annotations

import os
import re

from deepanalyze.errors import InvalidRequest

_MAX_BYTES = 4095  # the kernel takes no longer path
_LOOKS_ESCAPED = re.compile(r"\\(?=x([89a-f][0-9a-f]|5c))")
_ESCAPED = re.compile(r"\\x([89a-f][0-9a-f]|5c)")
_NOT_UTF8 = re.compile(r"[\udc80-\udcff]")


def shown(name: str) -> str:
    """Of a name, or a path, as `os` gives it."""
    text = _LOOKS_ESCAPED.sub(r"\\x5c", name)
    return _NOT_UTF8.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", text)


def on_disk(text: str) -> str:
    """What `os` takes for what `shown` gave."""
    raw = _ESCAPED.sub(lambda found: "\\" if found[1] == "5c" else chr(0xDC00 + int(found[1], 16)), text)
    return os.fsdecode(os.fsencode(raw))


def check_path(path: str) -> None:
    """Of a file, or of several as a glob or a prefix. Raises InvalidRequest."""
    if not path:
        raise InvalidRequest(
            "path is empty; give a file's path below the root, a glob or a prefix ending in '/'", param="path"
        )
    check_prefix(path)


def check_prefix(path: str) -> None:
    """What it names must be below the root by its text already. Raises InvalidRequest."""
    if "\x00" in path:
        raise InvalidRequest("path holds a NUL character, which no file's name has", param="path")
    if path.startswith("/"):
        raise InvalidRequest("path begins with '/'; paths are relative to the source's root", param="path")
    if any(part in ("", ".", "..") for part in path.removesuffix("/").split("/") if path):
        raise InvalidRequest(
            "path has a part that is empty, '.' or '..'; name what is below the root directly", param="path"
        )
    try:
        length = len(os.fsencode(on_disk(path)))
    except UnicodeEncodeError:
        raise InvalidRequest(
            "path holds half of a surrogate pair, which is no character", param="path"
        ) from None
    if length > _MAX_BYTES:
        raise InvalidRequest(f"path is longer than the {_MAX_BYTES} bytes that a path may have", param="path")
