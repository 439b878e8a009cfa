"""`deepanalyze audit`: who did what, through the API."""

from deepanalyze.cli.audit.commands import audit

__all__ = ["audit"]
