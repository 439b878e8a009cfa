"""`deepanalyze users`: who may come in, as what, and to which shared sources."""

from deepanalyze.cli.users.commands import users

__all__ = ["users"]
