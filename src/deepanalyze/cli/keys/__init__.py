"""`deepanalyze keys`: API keys, and the key that stored secrets are encrypted with."""

from deepanalyze.cli.keys.api_keys import keys
from deepanalyze.cli.keys.rotate import rotate

keys.command("rotate")(rotate)

__all__ = ["keys"]
