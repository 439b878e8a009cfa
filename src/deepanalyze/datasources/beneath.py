"""Opening and renaming below a directory that someone hostile may change at the same time.

Every step is relative to a descriptor and follows no link, so that a name checked is the name used.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import platform
import stat
from collections.abc import Iterator

_SYS_OPENAT2 = 437  # the same on every architecture
_RESOLVE_NO_XDEV, _RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 1, 2, 4, 8
_RESOLVE = _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_SYMLINKS | _RESOLVE_BENEATH
_RENAME_NOREPLACE = 1
_SYS_RENAMEAT2 = {"x86_64": 316, "aarch64": 276}

HERE = -100  # AT_FDCWD: names are not relative to a descriptor
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK a planted FIFO would hold the server for ever.
REGULAR_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(directory: int, name: str, flags: int, *, across_mounts: bool = False) -> int:
    """Opens `name`, relative and of plain parts, below the directory. Raises OSError.

    Args:
        across_mounts: whether other file systems may be mounted on the way. Only the system's administrator mounts.
    """
    try:
        return _openat2(directory, name, flags, _RESOLVE if across_mounts else _RESOLVE | _RESOLVE_NO_XDEV)
    except OSError as error:
        # EPERM: a seccomp filter of an older container runtime does not know the call. A real EPERM comes again.
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
    return _open_by_hand(directory, name, flags)


def _openat2(directory: int, name: str, flags: int, resolve: int) -> int:
    how = _OpenHow(flags=flags, mode=0, resolve=resolve)
    return _syscall(
        _SYS_OPENAT2,
        ctypes.c_int(directory),
        os.fsencode(name),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )


def _open_by_hand(directory: int, name: str, flags: int) -> int:
    *folders, last = name.split("/")
    if any(part in ("", ".", "..") for part in (*folders, last)):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    with contextlib.ExitStack() as opened:
        for folder in folders:
            directory = os.open(folder, DIRECTORY, dir_fd=directory)
            opened.callback(os.close, directory)
        return os.open(last, flags, dir_fd=directory)


def rename_new(source: str, source_directory: int, target: str, target_directory: int) -> None:
    """Renames without ever replacing anything. Raises FileExistsError."""
    number = _SYS_RENAMEAT2.get(platform.machine())
    if number is not None:
        try:
            _syscall(
                number,
                ctypes.c_int(source_directory),
                os.fsencode(source),
                ctypes.c_int(target_directory),
                os.fsencode(target),
                ctypes.c_uint(_RENAME_NOREPLACE),
            )
            return
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.EPERM):
                raise
    os.link(source, target, src_dir_fd=source_directory, dst_dir_fd=target_directory, follow_symlinks=False)
    os.unlink(source, dir_fd=source_directory)


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def _syscall(number: int, *arguments: object) -> int:
    result = int(_libc().syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


@contextlib.contextmanager
def closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_own_regular_file(status: os.stat_result) -> bool:
    """A regular file with one name. A second name could be one outside the workspace."""
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
