"""Files that appear under their name only when they are complete, and names that stay where they belong."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from deepanalyze.datasources.beneath import HERE, rename_new
from deepanalyze.errors import AlreadyExists, InvalidRequest, QuotaExceeded

_MAX_PART_BYTES = 200
_MAX_NAME_BYTES = 1000
_MAX_DEPTH = 20
_KEPT_FOLDERS, _KEPT_BYTES = 8, 400  # of a path that is too deep or too long
_BUFFER_BYTES = 1024**2
_SUFFIXES = re.compile(r"(\.[^.]{1,10}){1,2}\Z")  # as `.csv.gz`
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f\u0080-\u009f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\\]"
)


@contextlib.contextmanager
def atomic_file(
    destination: Path, *, mode: int = 0o600, buffering: int = _BUFFER_BYTES
) -> Iterator[BinaryIO]:
    """A file beside `destination` that takes its name when the block ends well and vanishes otherwise.

    An existing file is never replaced: FileExistsError. What is written is for worker threads; making and naming the
    file is one step of the file system each.
    """
    partial = os.path.join(destination.parent, f".{secrets.token_hex(8)}.part")
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb", buffering=buffering) as file:
            yield file
        _take_name(partial, destination)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        raise


@contextlib.contextmanager
def new_file(destination: Path, *, buffering: int = _BUFFER_BYTES) -> Iterator[BinaryIO]:
    """As `atomic_file`, for what a source brings: raises AlreadyExists, and QuotaExceeded where the disk is full."""
    taken = AlreadyExists(
        f"there is a file named {destination.name!r} already; nothing that is fetched replaces one",
        param="save_as",
    )
    if destination.exists():
        raise taken
    try:
        with atomic_file(destination, buffering=buffering) as file:
            yield file
    except FileExistsError:  # it came meanwhile
        raise taken from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise QuotaExceeded(f"no space is left to write {destination.name!r}") from error
        raise


def _take_name(partial: str, destination: Path) -> None:
    try:
        rename_new(partial, HERE, os.fspath(destination), HERE)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, on a Linux that cannot rename so
        if destination.exists():
            raise FileExistsError(destination) from None
        os.rename(partial, destination)


def write_once(path: Path, content: bytes, *, mode: int) -> bytes:
    """Makes the file with that content unless it exists, and returns what it holds: of several processes one wins."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    with contextlib.suppress(FileExistsError), atomic_file(path, mode=mode) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return path.read_bytes()


def safe_relative_name(name: str) -> str:
    """`name` as a relative path that stays below its directory, with `/` between its parts.

    Empty, `.` and `..` parts, backslashes, control and direction characters become `_xx` of their code (`..` is
    `_2e_2e`), so that different names stay different; what remains may hold spaces and any letters.
    """
    parts = [_safe_part(part) for part in name.strip("/").split("/")]
    if not any(parts) or not name.strip("/ "):
        raise InvalidRequest(f"{name!r} cannot be a file's name", param="save_as")
    safe = "/".join(part or "_" for part in parts)
    if len(safe.encode()) > _MAX_NAME_BYTES:
        raise InvalidRequest(
            f"the file name {safe[:60]!r}… is longer than {_MAX_NAME_BYTES} bytes", param="save_as"
        )
    return safe


def landing_name(path: str) -> str:
    """Where a file of a source lands, whatever its path there holds: as `safe_relative_name`, but never refused. Of a
    path that is too deep or too long the first folders and the last part are kept, and a digest of the whole between
    them.
    """
    parts = [_safe_part(part) or "_" for part in path.strip("/").split("/")]
    name = "/".join(part if part.strip() else "_" for part in parts)
    if len(parts) <= _MAX_DEPTH and len(name.encode()) <= _MAX_NAME_BYTES:
        return name
    kept: list[str] = []
    for part in parts[: min(_KEPT_FOLDERS, len(parts) - 1)]:
        if len("/".join([*kept, part]).encode()) > _KEPT_BYTES:
            break
        kept.append(part)
    return "/".join([*kept, hashlib.sha256(path.encode(errors="surrogatepass")).hexdigest()[:16], parts[-1]])


def _safe_part(part: str) -> str:
    if part.startswith("."):  # `..` leaves the directory and hidden files stay unseen
        part = "_2e" * (len(part) - len(part.lstrip("."))) + part.lstrip(".")
    part = _CONTROL.sub(lambda found: f"_{ord(found[0]):02x}", part)
    if len(part.encode()) <= _MAX_PART_BYTES:
        return part
    found = _SUFFIXES.search(part)
    suffix = found[0] if found else ""
    keep = _MAX_PART_BYTES - len(suffix.encode())
    return part.removesuffix(suffix).encode()[:keep].decode(errors="ignore") + suffix
