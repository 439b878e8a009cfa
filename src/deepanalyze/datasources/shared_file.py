"""A file that threads write, several of them at once, or one that nobody waits for any more."""

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
    """After `close` late threads of a cancelled transfer touch nothing any more: by then the descriptor's number may
    belong to another file.
    """

    def __init__(self, descriptor: int, *, hashed: bool = False) -> None:
        self._descriptor: int | None = descriptor
        self._lock = threading.Lock()
        self._digest = hashlib.md5(usedforsecurity=False) if hashed else None
        self._hashed = 0
        self.written = 0

    def write(self, start: int, data: Any) -> None:
        """Raises Ended, and OSError where the disk is full."""
        view = memoryview(data)
        if self._digest is not None and start == self._hashed:  # no other thread can be at the same place
            self._digest.update(view)
            self._hashed += len(view)
        while view:
            with self._lock:
                count = os.pwrite(self._opened(), view[:_PIECE_BYTES], start)
                self.written += count
            view, start = view[count:], start + count

    def md5(self) -> bytes:
        """Of all of it, once it is complete; only what did not come in order is read again."""
        assert self._digest is not None
        piece = memoryview(bytearray(min(_HASHED_BYTES, self.written - self._hashed)))
        while self._hashed < self.written:
            with self._lock:
                count = os.preadv(self._opened(), [piece], self._hashed)
            self._digest.update(piece[:count])
            self._hashed += count
        return self._digest.digest()

    def close(self) -> None:
        with self._lock:
            self._descriptor = None

    def _opened(self) -> int:
        if self._descriptor is None:
            raise Ended
        return self._descriptor
