"""Temporary directories that are found again when the process that made them was killed."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LONGEST_BASE = 60  # a path of a kernel's socket, which lies in one of them, has at most 107 bytes
_NAME = re.compile(r"da-(\d+)-[0-9a-f]{8}")


def make_directory(mode: int = 0o700) -> Path:
    """Named after this process; whatever the umask says, with this mode."""
    directory = _base() / f"da-{os.getpid()}-{secrets.token_hex(4)}"
    directory.mkdir(mode=mode)
    directory.chmod(mode)
    return directory


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A private one, gone at the end with all that is in it."""
    directory = make_directory()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def left_over() -> list[Path]:
    """Directories that this user's processes made and did not live to remove."""
    found: list[Path] = []
    with suppress(OSError), os.scandir(_base()) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match and not os.path.exists(f"/proc/{match[1]}") and _is_ours(entry):
                found.append(Path(entry.path))
    return found


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
