"""What commands print. Nothing that comes from a source is taken for markup or for a control sequence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.segment import Segments
from rich.table import Table
from rich.text import Text

from deepanalyze.cli.plain import plain

_LONGEST_WHOLE = 40
_ANY_WIDTH = 100_000


class Terminal(Console):
    """Rich ends the process where a reader has gone (`… | head`), in the middle of whatever task prints."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def print_json(content: Any) -> None:
    print(json.dumps(content, ensure_ascii=False, indent=2))


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    none: str | None = None,
    title: str | None = None,
    console: Console | None = None,
) -> None:
    """`none` is said in place of an empty one."""
    console = console or Terminal()
    if none is not None and not rows:
        console.print(none)
        return
    shown = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for index, name in enumerate(head):
        numeric = all(isinstance(row[index], int | float | None) for row in rows)
        # Ids and names are there to be copied: they stay whole, and a narrow terminal breaks the line instead.
        short = all(len(_cell(row[index])) <= _LONGEST_WHOLE for row in rows)
        shown.add_column(
            Text(plain(name)), justify="right" if numeric else "left", overflow="fold", no_wrap=short
        )
    for row in rows:
        shown.add_row(*(_cell(value) for value in row))
    least = Measurement.get(console, console.options.update(width=_ANY_WIDTH), shown).minimum
    wide = console.options.update(width=max(console.width, least + 3 * len(head)))
    console.print(Segments(console.render(shown, wide)), soft_wrap=True, end="")


def _cell(value: Any) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    return Text(plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))


def moment(seconds: int | None, otherwise: str = "", *, form: str = "%Y-%m-%d %H:%M UTC") -> str:
    return otherwise if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime(form)
