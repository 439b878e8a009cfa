"""The analysis on a terminal: a bar for each fetch, then the text block by block as it arrives."""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

_TAG = re.compile(r"<(/?)(Analyze|Understand|Code|Execute|File|Answer)>")
_LONGEST_TAG = len("</Understand>")
_SHOWN_LINES = 24  # of a code block or its output; all of it is in the thread's messages
_SHOWN_WIDTH = 240  # characters of one line of these


class Display:
    """Renders what `asking.ask` sees. Use as a context manager: it owns the progress bars."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._fetches: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._buffer = ""
        self._block: str | None = None
        self._body = ""

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *exc: object) -> None:
        self._end_fetches()
        self._write(self._buffer)
        self._close_block()

    def event(self, event: dict[str, Any]) -> None:
        if event["type"] == "fetch":
            self._fetch(event)
        elif event["type"] == "status":
            self._console.print(Text(str(event.get("message", "")), style="dim italic"))

    def text(self, piece: str) -> None:
        """Takes the text in whatever pieces; a tag may be cut anywhere."""
        self._end_fetches()
        self._buffer += piece
        while found := _TAG.search(self._buffer):
            self._write(self._buffer[: found.start()])
            self._buffer = self._buffer[found.end() :]
            self._close_block()
            if not found[1]:
                self._open_block(found[2])
        if "<" not in self._buffer[-_LONGEST_TAG:]:
            self._write(self._buffer)
            self._buffer = ""

    def _fetch(self, event: dict[str, Any]) -> None:
        if self._fetches is None:
            self._fetches = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(pulse_style="cyan"),
                DownloadColumn(),
                TransferSpeedColumn(),
                TextColumn("{task.fields[note]}", style="dim"),
                TimeElapsedColumn(),
                console=self._console,
            )
            self._fetches.start()
        param = event["param"]
        if param not in self._tasks:
            self._tasks[param] = self._fetches.add_task("", total=None, note="")
        done = event["status"] in ("done", "failed")
        rows = event.get("rows")
        note = escape(str(event["error"])) if event.get("error") else f"{rows:,} rows" if rows else ""
        self._fetches.update(
            self._tasks[param],
            description=escape(_label(event)),
            completed=event.get("bytes") or 0,
            total=(event.get("bytes") or 1) if done else event.get("total_bytes"),
            note=note,
        )

    def _end_fetches(self) -> None:
        if self._fetches is not None:
            self._fetches.stop()
            self._fetches = None

    def _open_block(self, name: str) -> None:
        self._block = name
        self._console.print(Rule(Text(name, style="bold"), align="left", style="dim"))

    def _write(self, text: str) -> None:
        """Prose is printed line by line as it comes; code, output, files and answer when their block is whole."""
        self._body += text
        if self._block in (None, "Analyze", "Understand"):
            *lines, self._body = self._body.split("\n")
            for line in lines:
                if line.strip():
                    self._console.print(Text(line))

    def _close_block(self) -> None:
        body, self._body = self._body.strip("\n"), ""
        if not body.strip():
            self._block = None
            return
        if self._block == "Code":
            self._console.print(
                Syntax(_shortened(_unfenced(body)), "python", background_color="default", word_wrap=True)
            )
        elif self._block == "Execute":
            self._console.print(Text(_shortened(_unfenced(body)), style="dim"))
        elif self._block == "Answer":
            self._console.print(Markdown(body))
        elif self._block == "File":
            self._console.print(
                Markdown(body.replace("![", "["))
            )  # a terminal shows an image's name, as a link's
        else:
            self._console.print(Text(body))
        self._block = None


def _label(event: dict[str, Any]) -> str:
    files = event.get("files") or []
    if not files:
        return str(event["source"])
    return f"{event['source']}: {files[0]['file'] if len(files) == 1 else f'{len(files)} files'}"


def _unfenced(text: str) -> str:
    lines = text.strip("\n").split("\n")
    if len(lines) >= 2 and lines[0].startswith("```") and lines[-1].startswith("```"):
        lines = lines[1:-1]
    return "\n".join(lines)


def _shortened(text: str) -> str:
    lines = text.split("\n")
    if len(lines) > _SHOWN_LINES:
        half = _SHOWN_LINES // 2
        lines = [*lines[:half], f"# … {len(lines) - 2 * half} more lines …", *lines[-half:]]
    return "\n".join(line if len(line) <= _SHOWN_WIDTH else line[:_SHOWN_WIDTH] + " …" for line in lines)
