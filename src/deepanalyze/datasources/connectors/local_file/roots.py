"""Where a source of local files may be rooted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from deepanalyze.datasources.paths import printable
from deepanalyze.errors import PermissionDenied


def real_root(source: str, root: str, allowed: Sequence[Path] | None, private: Sequence[Path]) -> str:
    """The root without symbolic links. For worker threads. Raises PermissionDenied, and OSError where it cannot tell.

    Args:
        allowed: it must be one of these or lie below; None: anywhere.
        private: neither of these may lie within the other.
    """
    real = os.path.realpath(root, strict=True)
    if allowed is not None and not any(_is_within(real, os.path.realpath(each)) for each in allowed):
        raise PermissionDenied(_not_allowed(source, root, real, bool(allowed)), param="config.root")
    for each in private:
        if _overlap(real, os.path.realpath(each)):
            raise PermissionDenied(
                f"source '{source}': the root '{printable(root)}' holds, or lies in, the server's own data directory, "
                "where its secrets are; take a directory apart from it",
                param="config.root",
            )
    return real


def _not_allowed(source: str, root: str, real: str, any_allowed: bool) -> str:
    place = f"the root '{printable(root)}'" + ("" if real == root else f" (that is, '{printable(real)}')")
    lies = "lies below none of the directories that the server allows" if any_allowed else "is not allowed"
    return (
        f"source '{source}': {place} {lies}; to allow it, name it or a directory above it in DEEPANALYZE_LOCAL_ROOTS "
        "and restart the server"
    )


def _is_within(path: str, directory: str) -> bool:
    return os.path.commonpath((path, directory)) == directory


def _overlap(root: str, private: str) -> bool:
    """Whether one lies within the other; by identity too, because a directory may be mounted a second time."""
    if _is_within(root, private) or _is_within(private, root):
        return True
    if not os.path.exists(private):
        return False
    return _identity(root) in _identities_upwards(private) or _identity(private) in _identities_upwards(root)


def _identities_upwards(path: str) -> set[tuple[int, int]]:
    return {_identity(each) for each in [Path(path), *Path(path).parents]}


def _identity(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino
