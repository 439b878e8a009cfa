"""The `deepanalyze` command. Commands import what they need when they run, so that `--help` answers at once."""

from __future__ import annotations

from deepanalyze.cli.app import app


def main() -> None:
    app()


__all__ = ["app", "main"]
