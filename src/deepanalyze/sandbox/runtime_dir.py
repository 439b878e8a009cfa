"""Private directories of running kernels."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from deepanalyze.datasources.temporary import left_over, make_directory, release_directory
from deepanalyze.workspace.removal import remove_tree

PASSABLE = 0o711  # the user of the code has to pass


def make_runtime_dir(files: Mapping[str, bytes], owner_uid: int | None) -> Path:
    """A directory for one kernel with these files in it and `tmp` for temporary ones, owned by its user."""
    outer = make_directory(PASSABLE)
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
    release_directory(runtime.parent)


def clean_left_over() -> None:
    """Removes what servers left that were killed."""
    with left_over() as directories:
        for directory in directories:
            with contextlib.suppress(OSError):
                remove_tree(directory)
