"""How a command ends when something is wrong: one clear line on standard error, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import typer

from deepanalyze.cli.files import drop_output
from deepanalyze.cli.plain import plain
from deepanalyze.errors import DeepAnalyzeError, StartupError

FAILED = 1
CANNOT_START = 2
INTERRUPTED = 130

EXIT_CODES: Mapping[int, str] = {
    0: "done",
    FAILED: "something was refused or failed after the start, and the line on standard error says what; or whoever "
    "read the output has closed it",
    CANNOT_START: "used wrongly, or it cannot start: an argument, a setting, a port, a directory, a key or a missing "
    "part; standard error says which, and what to do",
    INTERRUPTED: "stopped by Ctrl-C or SIGTERM before it was done",
}


@contextmanager
def told_clearly() -> Iterator[None]:
    """Exits with the code of EXIT_CODES that is meant."""
    try:
        yield
    except DeepAnalyzeError as error:
        lines = [plain(line) for line in error.message.split("\n")]
        print("deepanalyze:", "\n".join(lines), file=sys.stderr)
        raise typer.Exit(CANNOT_START if isinstance(error, StartupError) else FAILED) from None
    except BrokenPipeError:  # who read has seen enough
        drop_output()
        raise typer.Exit(FAILED) from None
    except (KeyboardInterrupt, typer.Abort):
        raise typer.Exit(INTERRUPTED) from None
