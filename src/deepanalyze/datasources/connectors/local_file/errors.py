"""What goes wrong with local files, told in our own words: the one place where the system's errors are mapped."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from deepanalyze.datasources.paths import printable
from deepanalyze.errors import (
    BlobNotFound,
    DeepAnalyzeError,
    InvalidRequest,
    NotSupported,
    PermissionDenied,
    SourceAuthenticationFailed,
    SourceUnavailable,
    Stale,
)

Action = Literal["list", "read"]

_DONE = {"list": "listed", "read": "read"}
_MISSING = (errno.ENOENT, errno.ENOTDIR)
_LINKED = (errno.ELOOP, errno.EXDEV)
_REFUSED = (errno.EACCES, errno.EPERM)
_NO_NAME = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
_EXHAUSTED = (errno.EMFILE, errno.ENFILE)

_SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class FileErrors:
    """The errors of one source. Paths are those below the root, which is named only where it is itself at fault."""

    source: str
    root: str

    @contextlib.contextmanager
    def mapped(self, action: Action, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._explain(error, action, path) from None

    @contextlib.contextmanager
    def mapped_root(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._explain_root(error) from None

    def check_plain(self, path: str, status: os.stat_result) -> None:
        """Raises unless it is a regular file that has no second name."""
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFLNK:
            raise self.link(path)
        if kind == stat.S_IFDIR:
            folder = printable(path.removesuffix("/"))
            raise self.no_such(path, f"; it is a folder: '{folder}/' stands for all that is in it")
        if kind != stat.S_IFREG:
            raise NotSupported(
                self._text(
                    path, f"is {_SPECIAL.get(kind, 'something special')}, not a file; only files are read"
                ),
                param="path",
            )
        if status.st_nlink > 1:
            raise PermissionDenied(
                self._text(
                    path,
                    f"has {status.st_nlink} names (hard links), and another one may lie outside of the root; put a "
                    "copy in its place",
                ),
                param="path",
            )

    def link(self, path: str) -> PermissionDenied:
        return PermissionDenied(
            self._text(
                path,
                "is or goes through a symbolic link, which is not followed, because it could lead out of the root; "
                "name what it points to, or put a copy in its place",
            ),
            param="path",
        )

    def no_such(self, path: str, hint: str = "") -> BlobNotFound:
        return BlobNotFound(self._text(path, f"does not exist{hint}"), param="path")

    def no_match(self, path: str, hint: str = "") -> BlobNotFound:
        return BlobNotFound(
            f"source '{self.source}': no file matches '{printable(path)}'{hint}", param="path"
        )

    def too_deep(self, folder: str, levels: int) -> InvalidRequest:
        return InvalidRequest(
            f"source '{self.source}': '{printable(folder)}' lies more than {levels} folders below where the search "
            "began; begin further down",
            param="path",
        )

    def changed(self, path: str) -> Stale:
        return Stale(self._text(path, "was changed while it was read; try again when nothing writes to it"))

    def stalled(self, waited_s: float) -> SourceUnavailable:
        return SourceUnavailable(
            f"source '{self.source}': the file system did not answer for {waited_s:g} s; check that what is mounted "
            "there is reachable"
        )

    def closed(self) -> SourceUnavailable:
        return SourceUnavailable(f"source '{self.source}' was closed while it was in use")

    def _explain(self, error: OSError, action: Action, path: str) -> DeepAnalyzeError:
        code = error.errno
        if code in _MISSING:
            return self.no_such(path)
        if code in _LINKED:
            return self.link(path)
        if code in _REFUSED:
            return SourceAuthenticationFailed(
                self._text(
                    path,
                    f"may not be {_DONE[action]} by the user that DeepAnalyze runs as; grant it the permission",
                ),
                param="path",
            )
        if code in _NO_NAME:
            return InvalidRequest(self._text(path, "is no name that the file system takes"), param="path")
        return SourceUnavailable(
            self._text(path, f"cannot be {_DONE[action]}: {_reason(error)}"), param="path"
        )

    def _explain_root(self, error: OSError) -> DeepAnalyzeError:
        root = f"source '{self.source}': the root '{printable(self.root)}'"
        code = error.errno
        if code == errno.ENOTDIR:
            return SourceUnavailable(f"{root} is not a directory; name the directory that holds the files")
        if code == errno.ENOENT:
            return SourceUnavailable(
                f"{root} does not exist; check the path, and that it is mounted on the server"
            )
        if code in _LINKED:
            return SourceUnavailable(
                f"{root} has become, or goes through, another symbolic link since it was connected; connect it again"
            )
        if code in _REFUSED:
            return SourceAuthenticationFailed(
                f"{root} may not be read by the user that DeepAnalyze runs as; grant it the permission to read and "
                "enter it"
            )
        return SourceUnavailable(f"{root} cannot be read: {_reason(error)}")

    def _text(self, path: str, what: str) -> str:
        return f"source '{self.source}': file '{printable(path)}' {what}"


def _reason(error: OSError) -> str:
    if error.errno in _EXHAUSTED:
        return "too many files are open on the server; try again later"
    return os.strerror(error.errno or errno.EIO).lower()
