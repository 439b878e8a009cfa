from __future__ import annotations

import builtins
import contextlib
import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from deepanalyze.datasources.beneath import (
    DIRECTORY,
    REGULAR_FILE,
    closing,
    is_own_regular_file,
    open_beneath,
    rename_new,
)
from deepanalyze.errors import InvalidRequest, NotFound
from deepanalyze.workspace import names
from deepanalyze.workspace.measuring import tree_bytes
from deepanalyze.workspace.removal import remove_tree
from deepanalyze.workspace.usage import DiskUsage

ANNOTATIONS = ".deepanalyze"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_DEPTH = 64  # of folders that are listed, each holds a descriptor
_MAX_LISTED = 10_000
_MAX_TRIES = 10_000  # of numbers behind a taken name

# What a file was when a snapshot was taken; any change to its content changes one of them.
_State = tuple[int, int, int]
Snapshot = Mapping[str, _State]


@dataclass(frozen=True, slots=True)
class WorkspaceFile:
    """`name` is relative to the workspace, with `/` between its parts; times are Unix seconds."""

    name: str
    size: int
    modified_at: float
    mime_type: str


class Measured(NamedTuple):
    """`within_quota`: the user keeps no more, here and elsewhere, than may be."""

    size: int
    within_quota: bool


class Workspace:
    """One thread's directory and the private staging directory beside it (same file system, out of the code's reach).

    Args:
        root: the directory that the sandbox sees and may write.
        staging: where the server writes first; `adopt` renames from here into `root`.
        owner_uid: who must own adopted files so that the sandboxed code can use them; None keeps the server's.
        usage: where what lies in it counts, as `place`; None counts it nowhere.
    """

    def __init__(
        self,
        root: Path,
        staging: Path,
        *,
        owner_uid: int | None = None,
        usage: DiskUsage | None = None,
        place: str = "",
    ) -> None:
        self.root = root
        self.staging = staging
        self.owner_uid = owner_uid
        self._usage = usage or DiskUsage()
        self.place = place

    def create(self) -> None:
        """Makes both directories (0700, owned as needed). A second call does nothing."""
        for directory in (self.root, self.staging):
            directory.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                directory.mkdir(mode=0o700)
        with closing(os.open(self.root, DIRECTORY)) as root:
            self._give(root, 0o700)

    def delete(self) -> None:
        """Removes both directories with everything in them, following no link."""
        remove_tree(self.root)
        remove_tree(self.staging)

    def clear_staging(self) -> int:
        """Removes what a crash left half-written there; nothing may be using it. Returns how much it was."""
        if not self.staging.is_dir():
            return 0
        left = list(self.staging.iterdir())
        for path in left:
            if path.is_dir() and not path.is_symlink():
                remove_tree(path)
            else:
                path.unlink()
        return len(left)

    def adopt(self, staged: Path, name: str) -> str:
        """Renames a file from `staging` to `name` in the workspace, making folders as needed.

        Returns the name it got: when `name` is taken, `stem-2.ext`, `stem-3.ext` …, never overwriting anything.
        Raises InvalidRequest when `name` cannot be made safe, QuotaExceeded when its user may not keep so much more.
        """
        *folders, file = names.safe_parts(name)
        if staged.parent != self.staging:
            raise ValueError("only a file that lies directly in the staging directory can be adopted")
        with contextlib.ExitStack() as opened:
            staging = opened.enter_context(closing(os.open(self.staging, DIRECTORY)))
            with closing(os.open(staged.name, REGULAR_FILE, dir_fd=staging)) as descriptor:
                self._give(descriptor, 0o600)
                opened.enter_context(self._usage.adding(self.place, os.fstat(descriptor).st_size))
            directory = opened.enter_context(closing(os.open(self.root, DIRECTORY)))
            path: list[str] = []
            for folder in folders:
                entered, directory = self._enter(directory, folder)
                opened.callback(os.close, directory)
                path.append(entered)
            path.append(_move_in(staged.name, staging, file, directory))
        return "/".join(path)

    def annotate(self, name: str, text: str) -> bool:
        """Puts what is known of a file into the hidden `.deepanalyze/<name>.json`, in place of what was there.

        False where code has put something else in the way: the file itself is worth more than the note on it.
        """
        *folders, file = name.split("/")
        staged = f"note-{secrets.token_hex(8)}"
        try:
            with contextlib.ExitStack() as opened:
                staging = opened.enter_context(closing(os.open(self.staging, DIRECTORY)))
                opened.callback(_unlink, staged, staging)
                note = os.open(staged, _NEW_FILE, 0o600, dir_fd=staging)
                with os.fdopen(note, "w", encoding="utf-8", errors="replace") as written:
                    written.write(text)
                    self._give(note, 0o600)
                directory = opened.enter_context(closing(os.open(self.root, DIRECTORY)))
                for folder in (ANNOTATIONS, *folders):
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(folder, 0o700, dir_fd=directory)
                        made = opened.enter_context(closing(os.open(folder, DIRECTORY, dir_fd=directory)))
                        self._give(made, 0o700)
                    directory = opened.enter_context(closing(os.open(folder, DIRECTORY, dir_fd=directory)))
                os.rename(staged, f"{file}.json", src_dir_fd=staging, dst_dir_fd=directory)
        except OSError:
            return False
        return True

    def list(self) -> Sequence[WorkspaceFile]:
        """Every regular file below the root, sorted by name; hidden files and what is no plain file are left out.

        At most 10,000 files, so that hostile code cannot hold the server.
        """
        return [_described(name, status) for name, status in self._listed()]

    def open(self, name: str) -> tuple[int, WorkspaceFile]:
        """A read-only descriptor of one regular file and what it is. The caller closes it. Raises NotFound."""
        if not names.is_plain(name):
            raise _not_found(name)
        try:
            with closing(os.open(self.root, DIRECTORY)) as root:
                descriptor = open_beneath(root, name, REGULAR_FILE)
        except OSError:
            raise _not_found(name) from None
        status = os.fstat(descriptor)
        if not is_own_regular_file(status):
            os.close(descriptor)
            raise _not_found(name)
        return descriptor, _described(name, status)

    def remove(self, name: str) -> None:
        """Removes one listed file, if it is there; folders that it leaves empty stay."""
        if not names.is_plain(name):
            return
        folder, _, file = name.rpartition("/")
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            root = stack.enter_context(closing(os.open(self.root, DIRECTORY)))
            opened = (
                root if not folder else stack.enter_context(closing(open_beneath(root, folder, DIRECTORY)))
            )
            size = os.stat(file, dir_fd=opened, follow_symlinks=False).st_size
            os.unlink(file, dir_fd=opened)
            self._usage.add(self.place, -size)

    def size(self) -> int:
        """Bytes of everything below the root; at least some for each file and folder."""
        return tree_bytes(self.root)

    def measure(self) -> Measured:
        """Counts anew what lies in it."""
        size = self.size()
        self._usage.measured(self.place, size)
        return Measured(size, not self._usage.exceeded_at(self.place))

    def snapshot(self) -> Snapshot:
        """What the files are now, to ask later what code made or changed."""
        return {name: _state(status) for name, status in self._listed()}

    def changes_since(self, snapshot: Snapshot) -> builtins.list[WorkspaceFile]:
        """The files that are new or changed since then, sorted by name."""
        return [
            _described(name, status)
            for name, status in self._listed()
            if snapshot.get(name) != _state(status)
        ]

    def _listed(self) -> builtins.list[tuple[str, os.stat_result]]:
        found: builtins.list[tuple[str, os.stat_result]] = []
        with self._opened_root() as root:
            if root is None:
                return found
            for name, status in _files_below(root, ""):
                if is_own_regular_file(status):
                    found.append((name, status))
                if len(found) == _MAX_LISTED:
                    break
        return sorted(found, key=lambda entry: entry[0])

    @contextlib.contextmanager
    def _opened_root(self) -> Iterator[int | None]:
        try:
            root = os.open(self.root, DIRECTORY)
        except FileNotFoundError:
            yield None
            return
        with closing(root):
            yield root

    def _enter(self, directory: int, folder: str) -> tuple[str, int]:
        """Opens or makes a folder, or one with a number behind its name where code left something else there."""
        for number in range(1, _MAX_TRIES):
            name = names.numbered(folder, number)
            try:
                os.mkdir(name, 0o700, dir_fd=directory)
            except FileExistsError:
                made = False
            else:
                made = True
            try:
                entered = os.open(name, DIRECTORY, dir_fd=directory)
            except OSError:
                continue
            if made:
                self._give(entered, 0o700)
            return name, entered
        raise InvalidRequest(f"the folder {folder!r} is taken {_MAX_TRIES - 1} times over in this workspace")

    def _give(self, descriptor: int, mode: int) -> None:
        os.fchmod(descriptor, mode)
        if self.owner_uid is not None:
            os.fchown(descriptor, self.owner_uid, self.owner_uid)


def _unlink(name: str, directory: int) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=directory)


def _move_in(staged: str, staging: int, file: str, directory: int) -> str:
    for number in range(1, _MAX_TRIES):
        name = names.numbered(file, number)
        try:
            rename_new(staged, staging, name, directory)
        except FileExistsError:
            continue
        return name
    raise InvalidRequest(f"the name {file!r} is taken {_MAX_TRIES - 1} times over in this workspace")


def _files_below(directory: int, prefix: str, *, depth: int = 0) -> Iterator[tuple[str, os.stat_result]]:
    """What is no folder, not hidden and not too deep. What vanishes or cannot be read meanwhile is left out."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if not names.is_plain(entry.name):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if not stat.S_ISDIR(status.st_mode):
                yield prefix + entry.name, status
                continue
            if depth == _MAX_DEPTH:
                continue
            try:
                folder = os.open(entry.name, DIRECTORY, dir_fd=directory)
            except OSError:
                continue
            with closing(folder):
                yield from _files_below(folder, f"{prefix}{entry.name}/", depth=depth + 1)


def _described(name: str, status: os.stat_result) -> WorkspaceFile:
    return WorkspaceFile(name, status.st_size, status.st_mtime, names.mime_type(name))


def _state(status: os.stat_result) -> _State:
    # The change time, not the modification time: code can set the latter.
    return (status.st_ino, status.st_size, status.st_ctime_ns)


def _not_found(name: str) -> NotFound:
    return NotFound(f"there is no file {name!r} in this thread")
