"""What a code block said, kept within a bound whatever it sends."""

from __future__ import annotations

import re
from collections import deque

from deepanalyze.sandbox.messages import Message

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


class BlockOutput:
    """Collects the texts of one block in order: the first half of the bound, and the last."""

    def __init__(self, max_bytes: int) -> None:
        self._half = max_bytes // 2
        self._head: list[str] = []
        self._head_bytes = 0
        self._tail: deque[tuple[str, int]] = deque()
        self._tail_bytes = 0
        self._left_out = 0

    @property
    def truncated(self) -> bool:
        return self._left_out > 0

    def take(self, message: Message) -> None:
        """Adds what a message of the iopub channel says. Anything that is no output is passed over."""
        match message.type:
            case "stream":
                self.add(message.text("text"))
            case "execute_result" | "display_data":
                data = message.content.get("data")
                text = data.get("text/plain") if isinstance(data, dict) else None
                if isinstance(text, str):
                    self.add(text if text.endswith("\n") else text + "\n")
            case "error":
                self.add(_traceback(message))

    def add(self, text: str) -> None:
        text = _ESCAPE_SEQUENCE.sub("", text).encode(errors="replace").decode()
        room = self._half - self._head_bytes
        if room > 0:
            first = text.encode()[:room].decode(errors="ignore")
            self._head.append(first)
            # A character cut in two closes the head, or later text would be put before earlier.
            self._head_bytes += len(first.encode()) if len(first) == len(text) else room
            text = text[len(first) :]
        if text:
            self._add_to_tail(text)

    def _add_to_tail(self, text: str) -> None:
        size = len(text.encode())
        self._tail.append((text, size))
        self._tail_bytes += size
        while self._tail_bytes > self._half:
            text, size = self._tail.popleft()
            self._tail_bytes -= size
            excess = self._tail_bytes + size - self._half
            kept = text.encode()[excess:].decode(errors="ignore")
            kept_size = len(kept.encode())
            self._left_out += size - kept_size
            if kept:
                self._tail.appendleft((kept, kept_size))
                self._tail_bytes += kept_size

    def text(self) -> str:
        note = [f"\n… {self._left_out:,} bytes left out …\n"] if self._left_out else []
        return "".join([*self._head, *note, *(text for text, _ in self._tail)])


def _traceback(message: Message) -> str:
    lines = message.content.get("traceback")
    if isinstance(lines, list) and lines and all(isinstance(line, str) for line in lines):
        return "\n".join(lines) + "\n"
    return f"{message.text('ename')}: {message.text('evalue')}\n"
