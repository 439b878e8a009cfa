"""The `deepanalyze` command. Commands import what they need when they run, so that `--help` answers at once."""

from __future__ import annotations

import io
import sys

__all__ = ["main"]


def main() -> None:
    if None in (sys.stdin, sys.stdout, sys.stderr):  # the next files that are opened would be taken for them
        if sys.stderr:
            print("deepanalyze: standard input, output and error have to be open", file=sys.stderr)
        raise SystemExit(2)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # For terminals that know fewer characters than sources
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        from deepanalyze.cli.app import app

        app(prog_name="deepanalyze")
    except KeyboardInterrupt:  # also while the command itself is still being imported
        raise SystemExit(130) from None
