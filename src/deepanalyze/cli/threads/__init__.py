"""`deepanalyze threads`: conversations with their workspaces."""

from deepanalyze.cli.threads.commands import threads

__all__ = ["threads"]
