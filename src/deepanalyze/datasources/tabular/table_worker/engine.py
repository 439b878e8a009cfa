"""DuckDB, shut in: it sees one directory, loads nothing, and cannot be talked out of that."""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb

from .failures import Unreadable

_THREADS = 2
_MAX_MESSAGE = 300
_QUOTED_LINE = re.compile(r"^Original Line:.*$", re.MULTILINE)


class Engine:
    """Files are named relative to `directory`."""

    def __init__(self, directory: Path, *, memory_bytes: int, spill_bytes: int) -> None:
        self._directory = directory
        self._connection = duckdb.connect(
            config={
                "threads": _THREADS,
                "memory_limit": f"{memory_bytes}B",
                "temp_directory": str(directory / "spill"),
                "max_temp_directory_size": f"{spill_bytes}B",
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_community_extensions": False,
            }
        )
        self._connection.execute(f"SET allowed_directories = [{quoted(str(directory) + '/')}]")
        for setting in ("enable_external_access = false", "lock_configuration = true"):
            self._connection.execute(f"SET {setting}")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Raises Unreadable with DuckDB's words, or MemoryError."""
        try:
            return self._connection.execute(sql).fetchall()
        except duckdb.OutOfMemoryException:
            raise MemoryError from None
        except duckdb.Error as error:
            raise Unreadable(self._told(error)) from None

    def columns(self, relation: str) -> list[tuple[str, str]]:
        """Names and types."""
        return [(row[0], row[1]) for row in self.rows(f"DESCRIBE SELECT * FROM {relation}")]

    def _told(self, error: duckdb.Error) -> str:
        """What is wrong, without the kind of error, the line as it is, the options and where the file lies."""
        text = str(error).split("\n\n")[0].split("\nTry ")[0].split("Possible ")[0]
        text = _QUOTED_LINE.sub("", text.removeprefix("Invalid Input Error: "))
        text = " ".join(text.replace(str(self._directory) + "/", "").split())
        return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "…"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
