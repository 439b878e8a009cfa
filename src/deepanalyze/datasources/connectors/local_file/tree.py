"""What lies below the root, opened step by step and never through a link. Blocking: for worker threads.

Whoever may write there may change it at any moment. So each step is relative to the descriptor of the one before, and
what was checked is what is read. Other file systems may be mounted below: only the system's administrator can do that.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from deepanalyze.datasources.base import DataItem
from deepanalyze.datasources.beneath import DIRECTORY, REGULAR_FILE, closing, open_beneath
from deepanalyze.datasources.connectors.local_file.errors import FileErrors
from deepanalyze.datasources.connectors.local_file.names import on_disk, shown
from deepanalyze.datasources.connectors.local_file.properties import item_of, state_of
from deepanalyze.errors import BlobNotFound

_MAX_LEVELS = 32  # of folders within one another, each holds two descriptors during a walk
_NAME = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# Of a folder within a walk: it vanished, was replaced, or is not for us (`lost+found`).
_PASSED_OVER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM)


@dataclass(frozen=True, slots=True)
class Tree:
    """`root` is a real path; it is opened for each use, so that nothing keeps what is mounted there."""

    errors: FileErrors
    root: str

    def probe(self) -> None:
        """Raises unless the root can be listed."""
        with self.errors.mapped_root(), closing(self._open_root()) as root, os.scandir(root) as entries:
            next(entries, None)

    def status(self, path: str) -> os.stat_result:
        """Of whatever is there, a link itself."""
        with self._parent(path) as (folder, name), self.errors.mapped("read", path):
            return os.stat(name, dir_fd=folder, follow_symlinks=False)

    def file_status(self, path: str) -> os.stat_result:
        status = self.status(path)
        self.errors.check_plain(path, status)
        return status

    @contextlib.contextmanager
    def opened_file(self, path: str, expected: os.stat_result) -> Iterator[int]:
        """A descriptor of the very file that `expected` was found of; raises Stale unless it is that, unchanged, at the
        beginning and at the end.
        """
        with self._parent(path) as (folder, name), self.errors.mapped("read", path):
            # Looked at again: to open what may have been put there instead, as a device, might do something already.
            self.errors.check_plain(path, os.stat(name, dir_fd=folder, follow_symlinks=False))
            descriptor = os.open(name, REGULAR_FILE, dir_fd=folder)
        with closing(descriptor):
            self._check_unchanged(path, descriptor, expected)
            yield descriptor
            self._check_unchanged(path, descriptor, expected)

    def _check_unchanged(self, path: str, descriptor: int, expected: os.stat_result) -> None:
        if state_of(os.fstat(descriptor)) != state_of(expected):
            raise self.errors.changed(path)

    def walk(self, prefix: str, *, recursive: bool, depth: int | None = None) -> Generator[DataItem | None]:
        """Whatever begins with the prefix: files and folders right there, or recursively every file whose path has at
        most `depth` parts. None for each entry that is passed over, so that a walk can be stopped anywhere.

        Links, files with several names, special and hidden files are passed over; hidden ones are those whose name
        begins with a dot that the prefix does not spell out.
        """
        folder, slash, beginning = prefix.rpartition("/")
        try:
            directory = self._open_folder(folder)
        except BlobNotFound:
            return
        with closing(directory), self.errors.mapped("list", folder or "/"):
            yield from _Walk(self.errors, recursive, depth).below(directory, folder + slash, beginning)

    @contextlib.contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        folder, _, name = path.rpartition("/")
        with closing(self._open_folder(folder, of=path)) as directory:
            yield directory, on_disk(name)

    def _open_folder(self, folder: str, *, of: str = "") -> int:
        with self.errors.mapped_root():
            root = self._open_root()
        if not folder:
            return root
        with closing(root), self.errors.mapped("list", of or folder):
            return _open_directory(root, on_disk(folder))

    def _open_root(self) -> int:
        with contextlib.ExitStack() as opened:
            top = os.open("/", DIRECTORY)
            if self.root == "/":
                return top
            opened.callback(os.close, top)
            return _open_directory(top, self.root.strip("/"))


@dataclass(frozen=True, slots=True)
class _Walk:
    errors: FileErrors
    recursive: bool
    depth: int | None

    def below(
        self, directory: int, prefix: str, beginning: str, level: int = 1
    ) -> Generator[DataItem | None]:
        with os.scandir(directory) as entries:
            for entry in entries:
                name = shown(entry.name)
                status = _status(entry) if _is_meant(name, beginning) else None
                if status is None:
                    yield None
                elif not stat.S_ISDIR(status.st_mode):
                    plain = stat.S_ISREG(status.st_mode) and status.st_nlink <= 1
                    yield item_of(prefix + name, status) if plain else None
                elif not self.recursive:
                    yield item_of(prefix + name, status)
                else:
                    yield None
                    yield from self._inside(directory, entry.name, f"{prefix}{name}/", level)

    def _inside(self, directory: int, name: str, prefix: str, level: int) -> Generator[DataItem | None]:
        if self.depth is not None and prefix.count("/") >= self.depth:
            return
        if level == _MAX_LEVELS:
            raise self.errors.too_deep(prefix, _MAX_LEVELS)
        try:
            with closing(os.open(name, DIRECTORY, dir_fd=directory)) as inner:
                yield from self.below(inner, prefix, "", level + 1)
        except OSError as error:
            if error.errno not in _PASSED_OVER:
                raise


def _open_directory(base: int, path: str) -> int:
    """Raises ELOOP for a link wherever it is met, which the system does not where it is the last part."""
    try:
        return open_beneath(base, path, DIRECTORY, across_mounts=True)
    except NotADirectoryError:
        if _meets_link(base, path):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        raise


def _meets_link(base: int, path: str) -> bool:
    parts = path.split("/")
    for count in range(1, len(parts) + 1):
        with closing(open_beneath(base, "/".join(parts[:count]), _NAME, across_mounts=True)) as found:
            if stat.S_ISLNK(os.fstat(found).st_mode):
                return True
    return False


def _is_meant(name: str, beginning: str) -> bool:
    return name.startswith(beginning) and not (name.startswith(".") and not beginning.startswith("."))


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # it vanished meanwhile
        return None
