"""How far a transfer is: on standard error, and only where both that and standard output are a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from deepanalyze.cli.plain import plain


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """For what the server does by itself: nobody knows how long it takes."""
    with _progress(TimeElapsedColumn()) as progress:
        progress.add_task(plain(what), total=None)
        yield


@contextmanager
def transfer(total_bytes: int) -> Iterator[Callable[[str, int], None]]:
    """Yields what takes the name of the file that is on its way, and the bytes of each piece of it."""
    with _progress(DownloadColumn(), TransferSpeedColumn()) as progress:
        task = progress.add_task("", total=total_bytes)
        yield lambda name, some: progress.update(task, description=plain(name), advance=some)


def _progress(*columns: ProgressColumn) -> Progress:
    console = Console(stderr=True)
    shown = console.is_terminal and sys.stdout.isatty()
    named = TextColumn("{task.description}", markup=False)
    return Progress(named, BarColumn(), *columns, console=console, transient=True, disable=not shown)
