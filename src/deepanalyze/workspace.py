"""A thread's directory. Code in the sandbox owns it and may plant anything there, so the server opens nothing in it
without care: no links are followed, only regular files with one link count, names never leave the directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WorkspaceFile:
    """`name` is relative to the workspace, with `/` between its parts; times are Unix seconds."""

    name: str
    size: int
    modified_at: float
    mime_type: str


class Workspace:
    """One thread's directory and the private staging directory beside it (same file system, out of the code's reach).

    Args:
        root: the directory that the sandbox sees and may write.
        staging: where the server writes first; `adopt` renames from here into `root`.
        owner_uid: who must own adopted files so that the sandboxed code can use them; None keeps the server's.
    """

    def __init__(self, root: Path, staging: Path, *, owner_uid: int | None = None) -> None:
        self.root = root
        self.staging = staging
        self.owner_uid = owner_uid

    def create(self) -> None:
        """Makes both directories (0700, owned as needed). A second call does nothing."""
        raise NotImplementedError

    def delete(self) -> None:
        """Removes both directories with everything in them, following no link."""
        raise NotImplementedError

    def adopt(self, staged: Path, name: str) -> str:
        """Renames a file from `staging` to `name` in the workspace, making folders as needed.

        Returns the name it got: when `name` is taken, `stem-2.ext`, `stem-3.ext` …, never overwriting anything.
        Raises InvalidRequest when `name` cannot be made safe.
        """
        raise NotImplementedError

    def list(self) -> Sequence[WorkspaceFile]:
        """Every regular file below the root, sorted by name; hidden files and what is no plain file are left out."""
        raise NotImplementedError

    def open(self, name: str) -> tuple[int, WorkspaceFile]:
        """A read-only descriptor of one regular file and what it is. The caller closes it. Raises NotFound."""
        raise NotImplementedError

    def size(self) -> int:
        """Bytes of everything below the root."""
        raise NotImplementedError
