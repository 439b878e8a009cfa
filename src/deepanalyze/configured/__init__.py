"""Data sources and users that `deepanalyze.toml` declares: read, checked, put in force, and reloaded."""

from deepanalyze.configured.loading import load_configuration
from deepanalyze.configured.reading import Declarations, DeclaredUser, read_declarations
from deepanalyze.configured.service import Configured
from deepanalyze.configured.showing import shown_declarations
from deepanalyze.configured.users import AccountsOfFile

__all__ = [
    "AccountsOfFile",
    "Configured",
    "Declarations",
    "DeclaredUser",
    "load_configuration",
    "read_declarations",
    "shown_declarations",
]
