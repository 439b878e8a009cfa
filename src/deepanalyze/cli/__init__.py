"""The `deepanalyze` command. Commands import what they need when they run, so that `--help` answers at once."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    try:
        from deepanalyze.cli.app import app

        app()
    except KeyboardInterrupt:  # also while the command itself is still being imported
        raise SystemExit(130) from None
