# mypy: disallow-untyped-calls = False
"""Cuts what leaves the kernel. The server cuts again, for it trusts nothing of this; here it keeps honest code's
output, however long, from breaking the connection.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from typing import Any

from ipykernel.iostream import OutStream

_MAX_CONTENT_BYTES = 768 * 1024  # a little below what the server takes
_MAX_TEXT = 128 * 1024
_MIN_TEXT = 1024
_MAX_ITEMS = 200
_END_OF_BLOCK = "\x1e"  # ASCII's record separator
_DRAIN_S = 0.2


def bounded(content: Any) -> Any:
    """A message's content with every text and list in it cut to a bound, the middle left out."""
    limit = _MAX_TEXT
    cut = _cut(content, limit)
    while limit > _MIN_TEXT and _size(cut) > _MAX_CONTENT_BYTES:
        limit //= 4
        cut = _cut(content, limit)
    return cut


def _cut(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return shortened(value, limit)
    if isinstance(value, dict):
        return {key: _cut(item, limit) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        half = _MAX_ITEMS // 2
        kept = [*value[:half], *value[-half:]] if len(value) > _MAX_ITEMS else value
        return [_cut(item, limit) for item in kept]
    return value


def _size(value: Any) -> int:
    """About as many bytes as it has on the wire."""
    return len(json.dumps(value, default=str, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


class Tail:
    """The last characters of a text that comes in parts."""

    def __init__(self, limit: int) -> None:
        self.left_out = 0
        self._limit = limit
        self._parts: deque[str] = deque()
        self._length = 0

    def add(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
        while self._length > self._limit:
            first = self._parts.popleft()
            dropped = min(len(first), self._length - self._limit)
            if dropped < len(first):
                self._parts.appendleft(first[dropped:])
            self._length -= dropped
            self.left_out += dropped

    def text(self) -> str:
        return "".join(self._parts)


class BoundedStream(OutStream):
    """Passes on the first part of what a block prints and keeps the last part until the block ends."""

    limit = _MAX_TEXT
    _passed = 0
    _tail = Tail(0)
    _drained: threading.Event | None = None

    def write(self, string: str) -> int:
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string).__name__}")
        if not self._is_master_process():
            os.write(self._descriptor, string.encode(errors="replace"))
            return len(string)
        self._take(self._without_mark(string) if _END_OF_BLOCK in string else string)
        return len(string)

    def flush(self) -> None:
        if self._is_master_process():  # what a forked process finds in the buffer is its parent's to send
            super().flush()

    def forget_original(self) -> None:
        """ipykernel copies what it captures to the descriptor it took, and stops capturing when that is closed."""
        original = getattr(self, "_original_stdstream_copy", None)
        if original is not None:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, original)
            os.close(nothing)

    def begin_block(self) -> None:
        self._passed = 0
        self._tail = Tail(self.limit // 2)

    def finish_block(self) -> None:
        """Waits for what processes wrote straight to the descriptor, then lets the kept part go."""
        if hasattr(self, "watch_fd_thread"):
            self._drained = threading.Event()
            os.write(self._descriptor, _END_OF_BLOCK.encode())
            self._drained.wait(_DRAIN_S)
        if self._tail.left_out:
            super().write(f"\n… {self._tail.left_out} characters left out …\n")
        super().write(self._tail.text())
        self.flush()
        self.begin_block()

    def _take(self, string: str) -> None:
        room = max(self.limit // 2 - self._passed, 0)
        if room:
            super().write(string[:room])
            self._passed += min(len(string), room)
        if len(string) > room:
            self._tail.add(string[room:])

    def _without_mark(self, string: str) -> str:
        if threading.current_thread() is not getattr(self, "watch_fd_thread", None):
            return string
        if self._drained is not None:
            self._drained.set()
        return string.replace(_END_OF_BLOCK, "")

    @property
    def _descriptor(self) -> int:
        return 2 if self.name == "stderr" else 1
