"""Who runs PostgreSQL, and program files that this user can reach.

PostgreSQL refuses to run as root, so a root server runs it as `nobody`. Two things then lie out of its reach:

- its data directory, below directories of ours that are closed to others. It is made that user's own, and the
  process starts inside it: `/proc/self/cwd` leads there without passing the directories above.
- its programs, when the environment lies below a private home. They are copied once to a directory of root's that
  everyone can read. The other way, leaving the process CAP_DAC_READ_SEARCH, would let it read every file of the
  machine, and ordinary containers do not grant it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from deepanalyze.devservices.process import User
from deepanalyze.errors import StartupError


def service_user() -> User | None:
    """The user to become, or None when we are not root and stay who we are."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise StartupError("PostgreSQL does not run as root, and this system has no user 'nobody'") from error
    return User(nobody.pw_uid, nobody.pw_gid)


def open_to_everyone(path: Path) -> bool:
    """Whether any user may pass every directory down to `path`."""
    real = path.resolve()
    return all(directory.stat().st_mode & stat.S_IXOTH for directory in (real, *real.parents))


def shared_copy(sources: Mapping[str, Path], name: str, places: Sequence[Path] | None = None) -> Path:
    """A directory `name` of root's that holds each of `sources` under its key, made once.

    Raises StartupError when none of the places can be written.
    """
    problems = []
    for place in places or [Path("/var/cache"), Path(tempfile.gettempdir())]:
        try:
            return _copy_into(_own_directory(place / "deepanalyze"), sources, name)
        except OSError as error:
            problems.append(f"{place}: {error.strerror}")
    raise StartupError(f"no directory that user 'nobody' can reach could be written ({'; '.join(problems)})")


def _own_directory(path: Path) -> Path:
    """Made, or found to be ours alone: nobody else may have put programs there for us to run."""
    path.mkdir(mode=0o755, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(0, f"{path} is not a directory that only root can write")
    path.chmod(0o755)  # an umask may have closed it
    return path


def _copy_into(parent: Path, sources: Mapping[str, Path], name: str) -> Path:
    """Copied beside and renamed, so that a directory under its name is whole; whoever comes second uses the first's."""
    final = parent / name
    if final.is_dir():
        return final
    beside = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
    try:
        for target, source in sources.items():
            shutil.copytree(source, beside / target, symlinks=True, ignore=_unneeded)
        _open_up(beside)
        try:
            beside.rename(final)
        except OSError:
            if not final.is_dir():
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return final


def _unneeded(directory: str, names: list[str]) -> set[str]:
    """Left out of the copy: what only compilers want."""
    return {name for name in names if name.endswith(".a") or name in {"include", "pkgconfig"}}


def _open_up(tree: Path) -> None:
    for directory, _, files in os.walk(tree):
        Path(directory).chmod(0o755)
        for file in files:
            path = Path(directory, file)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
