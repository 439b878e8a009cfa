"""What administrators do with users, their keys and what is theirs."""

from deepanalyze.administration.pools import SourcePool, connections, source_pools
from deepanalyze.administration.users import Administration, NewKey

__all__ = ["Administration", "NewKey", "SourcePool", "connections", "source_pools"]
