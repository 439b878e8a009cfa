"""Heads of the chain that were noted outside of the database, which must be in the chain for ever."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from deepanalyze.errors import InternalError, InvalidRequest

FORM = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class NotedHead:
    sequence: int
    mac: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidRequest for what is not `SEQUENCE:MAC`."""
        if (found := FORM.fullmatch(text)) is None:
            raise InvalidRequest(
                "a noted head is SEQUENCE:MAC, the number of a record and its MAC in 64 hexadecimal digits",
                param="expect",
            )
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.sequence}:{self.mac}"


class HeadFile:
    """Beside the store, so that what empties the database, or puts an older one in its place, leaves it as it is. Its
    methods block.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = threading.Lock()  # a thread whose caller was cancelled goes on

    def read(self) -> NotedHead | None:
        """Raises InternalError when it cannot be read, or holds something else."""
        try:
            return NotedHead.parse(self._path.read_text(errors="replace").strip())
        except FileNotFoundError:
            return None
        except (OSError, InvalidRequest) as error:
            raise InternalError(
                f"the noted head of the audit trail ({self._path.name}) cannot be read"
            ) from error

    def write(self, head: NotedHead) -> None:
        """Replaces the one before as a whole. Raises OSError."""
        part = self._path.with_name(f".{self._path.name}.part")
        with self._writing:
            with open(part, "w", opener=_private) as file:
                file.write(f"{head}\n")
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
