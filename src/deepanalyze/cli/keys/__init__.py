"""`deepanalyze keys`: API keys."""

from deepanalyze.cli.keys.commands import keys

__all__ = ["keys"]
