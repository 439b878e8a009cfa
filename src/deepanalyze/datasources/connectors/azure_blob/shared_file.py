"""A file that several threads write at once."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import Any

_PIECE_BYTES = 1024**2  # at a time, so that `close` never waits long
_HASHED_BYTES = 128 * 1024  # stays in the processor's cache


class Ended(OSError):
    """The file was closed: whoever still writes has nothing more to do."""


class SharedFile:
    """After `close` late threads of a cancelled download touch nothing any more: by then the descriptor's number may
    belong to another file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        self._lock = threading.Lock()
        self.written = 0

    def write(self, start: int, data: Any) -> None:
        """Raises Ended, and OSError where the disk is full."""
        view = memoryview(data)
        while view:
            with self._lock:
                count = os.pwrite(self._opened(), view[:_PIECE_BYTES], start)
                self.written += count
            view, start = view[count:], start + count

    def md5(self) -> bytes:
        digest, place = hashlib.md5(usedforsecurity=False), 0
        piece = memoryview(bytearray(min(_HASHED_BYTES, self.written + 1)))
        while True:
            with self._lock:
                count = os.preadv(self._opened(), [piece], place)
            if not count:
                return digest.digest()
            digest.update(piece[:count])
            place += count

    def close(self) -> None:
        with self._lock:
            self._descriptor = None

    def _opened(self) -> int:
        if self._descriptor is None:
            raise Ended
        return self._descriptor
