"""Removing a directory that hostile code filled (any depth, mode or link) and may still be filling."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from deepanalyze.datasources.beneath import DIRECTORY, closing

_PASSES = 100


def remove_tree(directory: Path) -> None:
    """Removes the directory and everything in it, following no link. Does nothing when it is not there.

    Every folder found is first renamed into the top one, so that depth costs neither descriptors nor stack.
    """
    try:
        top = os.open(directory, DIRECTORY)
    except FileNotFoundError:
        return
    with closing(top):
        for _ in range(_PASSES):  # more than one only while someone is still writing
            with os.scandir(top) as entries:
                names = [entry.name for entry in entries]
            if not names:
                break
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    _remove_entry(top, name)
    os.rmdir(directory)


def _remove_entry(top: int, name: str) -> None:
    if not stat.S_ISDIR(os.stat(name, dir_fd=top, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=top)
        return
    folders = [name]
    while folders:
        folder = folders.pop()
        with _opened(top, folder) as opened:
            for child, is_directory in _children(opened):
                if is_directory:
                    folders.append(_moved_up(top, opened, child))
                else:
                    os.unlink(child, dir_fd=opened)
        with contextlib.suppress(OSError):  # someone put something new into it: the next pass takes it
            os.rmdir(folder, dir_fd=top)


def _children(folder: int) -> Iterator[tuple[str, bool]]:
    with os.scandir(folder) as entries:
        listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    yield from listed


def _moved_up(top: int, folder: int, child: str) -> str:
    name = f".removing-{secrets.token_hex(8)}"
    _make_accessible(folder, child)  # to move a folder one has to be allowed to write into it
    os.rename(child, name, src_dir_fd=folder, dst_dir_fd=top)
    return name


@contextlib.contextmanager
def _opened(top: int, folder: str) -> Iterator[int]:
    _make_accessible(top, folder)
    with closing(os.open(folder, DIRECTORY, dir_fd=top)) as opened:
        yield opened


def _make_accessible(parent: int, folder: str) -> None:
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
    with closing(os.open(folder, flags, dir_fd=parent)) as handle:
        if stat.S_IMODE(os.fstat(handle).st_mode) & 0o700 != 0o700:
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
