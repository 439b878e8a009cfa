"""What must survive a restart, in one SQLite database."""

from deepanalyze.store.store import Store, open_store

__all__ = ["Store", "open_store"]
