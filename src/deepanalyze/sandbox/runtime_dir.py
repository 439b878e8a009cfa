"""Private directories of running programs. Short, because a path of a kernel's socket has at most 107 bytes."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from deepanalyze.workspace.removal import remove_tree

_LONGEST_BASE = 60
_NAME = re.compile(r"da-(\d+)-[0-9a-f]{8}")


def make_directory() -> Path:
    """Passable by everyone, and removed by the next server when this one is killed."""
    directory = _base() / f"da-{os.getpid()}-{secrets.token_hex(4)}"
    directory.mkdir(mode=0o711)
    directory.chmod(0o711)  # whatever the umask says, the user of the code has to pass
    return directory


def make_runtime_dir(files: Mapping[str, bytes], owner_uid: int | None) -> Path:
    """A directory for one kernel with these files in it and `tmp` for temporary ones, owned by its user."""
    outer = make_directory()
    runtime = outer / "k"
    made = [runtime, runtime / "tmp"]
    for directory in made:
        directory.mkdir(mode=0o700)
    for name, content in files.items():
        made.append(runtime / name)
        descriptor = os.open(made[-1], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(content)
    if owner_uid is not None:
        for path in made:
            os.chown(path, owner_uid, owner_uid)
    return runtime


def remove_runtime_dir(runtime: Path) -> None:
    """Never fails."""
    with contextlib.suppress(OSError):
        remove_tree(runtime.parent)


def clean_left_over() -> None:
    """Removes what servers left that were killed."""
    with contextlib.suppress(OSError), os.scandir(_base()) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match and not os.path.exists(f"/proc/{match[1]}") and _is_ours(entry):
                remove_runtime_dir(Path(entry.path, "k"))


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
