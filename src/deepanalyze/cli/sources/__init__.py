"""`deepanalyze sources`: see, try and query the data sources of a server, or of a data directory that none serves."""

from deepanalyze.cli.sources.commands import sources

__all__ = ["sources"]
