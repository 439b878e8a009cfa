"""How much lies in a directory that hostile code filled (any depth, mode or link) and may still be filling."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from deepanalyze.datasources.beneath import DIRECTORY, closing, open_beneath

_ENTRY_BYTES = 256  # of the disk, at least, for a file or folder, however empty
_CHUNK_PARTS = 15  # of a path at a time: 255 bytes each, and the system takes 4,095


def tree_bytes(directory: Path) -> int:
    """Bytes of everything below, at any depth, following no link; 0 when it is not there. What cannot be opened, or
    vanishes meanwhile, counts for itself only.
    """
    try:
        top = os.open(directory, DIRECTORY)
    except FileNotFoundError:
        return 0
    size = 0
    with closing(top):
        folders: list[tuple[str, ...]] = [()]
        while folders:
            folder = folders.pop()
            for name, status in _entries(top, folder):
                size += max(_ENTRY_BYTES, status.st_size)
                if stat.S_ISDIR(status.st_mode):
                    folders.append((*folder, name))
    return size


def _entries(top: int, folder: tuple[str, ...]) -> Iterator[tuple[str, os.stat_result]]:
    try:
        opened = _opened(top, folder)
    except OSError:
        return
    with closing(opened), os.scandir(opened) as entries:
        for entry in entries:
            try:
                yield entry.name, entry.stat(follow_symlinks=False)
            except OSError:
                continue


def _opened(top: int, folder: tuple[str, ...]) -> int:
    """With one descriptor at a time, however deep it lies."""
    opened = os.dup(top)
    for start in range(0, len(folder), _CHUNK_PARTS):
        with closing(opened) as above:
            opened = open_beneath(above, "/".join(folder[start : start + _CHUNK_PARTS]), DIRECTORY)
    return opened
