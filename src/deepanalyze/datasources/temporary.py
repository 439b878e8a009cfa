"""Temporary directories that are found again when the process that made them was killed."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LONGEST_BASE = 60  # a path of a kernel's socket, which lies in one of them, has at most 107 bytes
_NAME = re.compile(r"da-[0-9a-f]{16}")

# A lock says that its maker lives; a process id would not, between containers that share the directory.
_locks: dict[Path, int] = {}


def make_directory(mode: int = 0o700) -> Path:
    """Locked until `release_directory`, or the end of this process. Whatever the umask says, with this mode."""
    while True:
        directory = _base() / f"da-{secrets.token_hex(8)}"
        directory.mkdir(mode=mode)
        directory.chmod(mode)
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if directory.exists():
            _locks[directory] = lock
            return directory
        os.close(lock)  # somebody took it for left over in the moment before it was locked


def release_directory(directory: Path) -> None:
    """When it has been removed, or may be by anybody."""
    if (lock := _locks.pop(directory, None)) is not None:
        os.close(lock)


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A private one, gone at the end with all that is in it."""
    directory = make_directory()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        release_directory(directory)


@contextmanager
def left_over() -> Iterator[list[Path]]:
    """Directories that this user's processes made and did not live to remove; nobody else finds them meanwhile."""
    locks: dict[Path, int] = {}
    try:
        with suppress(OSError), os.scandir(_base()) as entries:
            for entry in entries:
                if (
                    _NAME.fullmatch(entry.name)
                    and _is_ours(entry)
                    and (lock := _lock(entry.path)) is not None
                ):
                    locks[Path(entry.path)] = lock
        yield list(locks)
    finally:
        for lock in locks.values():
            os.close(lock)


def _lock(path: str) -> int | None:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _is_ours(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.stat(follow_symlinks=False).st_uid == os.geteuid() and entry.is_dir(
            follow_symlinks=False
        )
    except OSError:
        return False


def _base() -> Path:
    wanted = tempfile.gettempdir()
    return Path(wanted if len(wanted) <= _LONGEST_BASE else "/tmp")  # noqa: S108
