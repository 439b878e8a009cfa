"""What the commands that ask a server share: which one, how it is asked, and what becomes of its answer."""

from deepanalyze.cli.client.asker import Asker, below
from deepanalyze.cli.client.command import asks

__all__ = ["Asker", "asks", "below"]
