"""Room on the disk that is kept for deleting and revoking, which must be possible when nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import structlog

RESERVED_BYTES = 8 * 1024**2

log = structlog.get_logger()


class Reserve:
    """A file that is given up when a deletion finds the disk full, and made again when there is room. Its methods
    block; they are called under the store's write lock.
    """

    def __init__(self, path: Path, size: int = RESERVED_BYTES) -> None:
        self._path = path
        self._size = size
        self.used = False  # given up, and not made again yet

    def make(self) -> bool:
        """Whether it is there now."""
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)
        except OSError as error:
            self._path.unlink(missing_ok=True)
            if not self.used:
                log.warning(
                    "no room on the disk to keep for deletions", bytes=self._size, error=error.strerror
                )
            return False
        self.used = False
        return True

    def give_up(self) -> bool:
        """Whether there was something to give up."""
        try:
            self._path.unlink()
        except OSError:
            return False
        self.used = True
        log.warning("the disk is full: changes are refused, but for deletions", bytes=self._size)
        return True
