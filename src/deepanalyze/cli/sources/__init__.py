"""`deepanalyze sources`: add, see, try, query and change the data sources of a server, or of a data directory that none
serves.
"""

from deepanalyze.cli.sources import looking, managing
from deepanalyze.cli.sources.commands import sources

for _command in (
    managing.add,
    managing.show,
    managing.edit,
    managing.remove,
    looking.preview,
    looking.stats,
    looking.schema,
    looking.fetch,
):
    sources.command()(_command)

__all__ = ["sources"]
