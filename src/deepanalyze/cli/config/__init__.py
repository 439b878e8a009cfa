"""`deepanalyze config`: is the configuration right, and what is in force."""

from deepanalyze.cli.config.commands import config

__all__ = ["config"]
