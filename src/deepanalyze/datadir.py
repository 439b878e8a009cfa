"""The data directory: what lies where, and that one server process at a time holds it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from deepanalyze.errors import StartupError

_PRIVATE = 0o700
_PASSABLE = 0o711  # code of a server that runs as root has uids of its own, which must reach their workspaces

# What an existing directory may hold to be taken for the server's: its own, and what commands and people put beside it.
_OWN = {"lock", "store.sqlite", "threads", "files", "keys"}
_BESIDE = {"demo", "dev", "deepanalyze.toml", "lost+found"}


@dataclass(frozen=True, slots=True)
class DataDir:
    root: Path

    @property
    def store(self) -> Path:
        return self.root / "store.sqlite"

    @property
    def audit_head(self) -> Path:
        return self.root / "audit.head"

    @property
    def threads(self) -> Path:
        return self.root / "threads"

    @property
    def files(self) -> Path:
        return self.root / "files"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def key_file(self) -> Path:
        return self.keys / "encryption.key"

    @property
    def lock(self) -> Path:
        return self.root / "lock"


@contextmanager
def open_data_dir(path: Path) -> Iterator[DataDir]:
    """Makes the directory where needed and holds its lock. Raises StartupError, also when another process holds it."""
    data_dir = DataDir(path)
    try:
        _make(data_dir)
        descriptor = os.open(data_dir.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartupError(_cannot_use(path, error)) from error
    try:
        _lock(descriptor, path)
        yield data_dir
    finally:
        # Gives the lock back; the file stays, because removing it would race with a new holder
        os.close(descriptor)


def announce(path: Path, url: str) -> None:
    """Notes where the server answers that holds the directory, for commands that find it held."""
    with DataDir(path).lock.open("a") as lock:
        lock.write(f"{url}\n")


def served_at(path: Path) -> str | None:
    """The URL of the server that holds the directory; None when it has not announced one, or another user could have
    written what is there.
    """
    try:
        with DataDir(path).lock.open() as lock:
            if os.fstat(lock.fileno()).st_uid != os.geteuid():
                return None
            _, _, url = lock.read(4096).partition("\n")
    except OSError:
        return None
    return url.strip() or None


def _make(data_dir: DataDir) -> None:
    if not data_dir.root.parent.exists() and _is_for_one_user(data_dir.root):
        data_dir.root.parent.mkdir(parents=True, exist_ok=True)
    if data_dir.root.exists():
        _check_that_it_is_ours(data_dir.root)
    way_to_workspaces = _PASSABLE if os.geteuid() == 0 else _PRIVATE
    for directory, mode in (
        (data_dir.root, way_to_workspaces),
        (data_dir.threads, way_to_workspaces),
        (data_dir.files, _PRIVATE),
        (data_dir.keys, _PRIVATE),
    ):
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode)
        if directory.stat().st_mode & 0o777 != mode:
            directory.chmod(mode)


def _check_that_it_is_ours(root: Path) -> None:
    """It is about to be closed to all others, which must not befall a home directory, /tmp or a file."""
    if not root.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(root))
    held = {entry.name for entry in root.iterdir() if not entry.name.startswith(".")}
    if not held & _OWN and (foreign := sorted(held - _BESIDE)):
        raise StartupError(
            f"the data directory {root} holds other things ({foreign[0]!r}, for example): choose an empty "
            "directory, or one that does not exist yet, with --data-dir"
        )


def _is_for_one_user(path: Path) -> bool:
    """Elsewhere a missing parent is more likely a typing error or a disk that is not mounted."""
    homes = (Path.home(), platformdirs.user_data_path("deepanalyze"))
    return any(path.is_relative_to(home) for home in homes)


def _cannot_use(path: Path, error: OSError) -> str:
    return f"the data directory {path} {_why_not(path, error)}; choose another with --data-dir"


def _why_not(path: Path, error: OSError) -> str:
    if not path.parent.exists():
        return f"cannot be made: {path.parent} does not exist"
    if isinstance(error, NotADirectoryError):
        wrong = next(p for p in (*reversed(path.parents), path) if not p.is_dir())
        return f"cannot be used: {wrong} is not a directory"
    return f"cannot be used: {error.strerror} ({error.filename})"


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise StartupError(_held(path, os.pread(descriptor, 32, 0))) from error
        raise StartupError(f"the data directory {path} cannot be locked: {error.strerror}") from error


def _held(path: Path, content: bytes) -> str:
    pid = content.decode("ascii", "replace").partition("\n")[0].strip()
    holder = f"process {pid}" if pid.isdigit() else "another process"
    return (
        f"the data directory {path} is in use by {holder}: stop it or let it end, "
        "or choose another directory with --data-dir"
    )
