"""Server-sent events out of bytes that may be cut anywhere."""

from __future__ import annotations

import re

MAX_EVENT_BYTES = 4 * 1024**2  # of what one line, or the lines of one event, may have

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class EventTooLong(Exception):
    """A sender that never ends its line would fill the memory."""


class EventDecoder:
    """Gives the data of each event; names, ids and comments are passed over.

    `seen` tells whether there was any event at all.
    """

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self.seen = False
        self._max_bytes = max_bytes
        self._line: list[bytes] = []  # what has come of the line under way
        self._data: list[bytes] = []  # of the event under way
        self._held_bytes = 0
        self._after_cr = False
        self._at_start = True

    def feed(self, piece: bytes) -> list[str]:
        """Raises EventTooLong."""
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]  # of a line end that was cut in two
            self._after_cr = False
        if not piece:
            return []
        self._after_cr = piece.endswith(b"\r")
        *ends, rest = _LINE_END.split(piece)
        events: list[str] = []
        for end in ends:
            self._hold(end)
            line = b"".join(self._line)
            self._line.clear()
            events += self._take(line)
        self._hold(rest)
        return events

    def finish(self) -> list[str]:
        """An event whose blank line is missing."""
        return [*self.feed(b"\n"), *self._dispatch()]

    def _hold(self, part: bytes) -> None:
        self._held_bytes += len(part)
        if self._held_bytes > self._max_bytes:
            raise EventTooLong(f"an event of more than {self._max_bytes:,} bytes")
        if part:
            self._line.append(part)

    def _take(self, line: bytes) -> list[str]:
        if self._at_start:
            line, self._at_start = line.removeprefix(_BOM), False
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        else:
            self._held_bytes -= len(line)
        return []

    def _dispatch(self) -> list[str]:
        data, self._data, self._held_bytes = self._data, [], 0
        if not data:
            return []
        self.seen = True
        return [b"\n".join(data).decode(errors="replace")]
