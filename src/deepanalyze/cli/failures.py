"""How a command ends when something is wrong: one clear line on standard error, never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from deepanalyze.errors import DeepAnalyzeError, StartupError

FAILED = 1
CANNOT_START = 2
INTERRUPTED = 130


@contextmanager
def told_clearly() -> Iterator[None]:
    """Exit codes: 2 when it cannot start (settings, port, directory, missing parts), 1 for what fails later."""
    try:
        yield
    except StartupError as error:
        print(f"deepanalyze: {error.message}", file=sys.stderr)
        raise typer.Exit(CANNOT_START) from None
    except DeepAnalyzeError as error:
        print(f"deepanalyze: {error.message}", file=sys.stderr)
        raise typer.Exit(FAILED) from None
    except (
        BrokenPipeError
    ):  # who read has seen enough; the interpreter must not try to write the rest at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
