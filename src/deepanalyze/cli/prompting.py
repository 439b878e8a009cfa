"""Questions to whoever sits at the terminal. They are asked on standard error, because answers may go into a pipe."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from deepanalyze.errors import DeepAnalyzeError


def can_ask() -> bool:
    return sys.stdin.isatty()


def ask(question: str, **how: Any) -> Any:
    """Typer's prompt, which Ctrl-C ends."""
    with _interruptible():
        return typer.prompt(question, err=True, **how)


def confirm(what: str, *, yes: bool) -> None:
    """Raises DeepAnalyzeError where nobody can answer, or the answer is no."""
    if yes:
        return
    if not can_ask():
        raise DeepAnalyzeError(f"this has to be confirmed: {what} Pass --yes")
    with _interruptible():
        confirmed = typer.confirm(what, err=True)
    if not confirmed:
        raise DeepAnalyzeError("nothing was changed")


@contextmanager
def _interruptible() -> Iterator[None]:
    """The event loop, which hears of Ctrl-C otherwise, waits for the answer as well."""
    loops = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, loops)
