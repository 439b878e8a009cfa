"""`deepanalyze sources`: add, see, try, query and change the data sources of a server, or of a data directory that none
serves.
"""

from __future__ import annotations

import typer

from deepanalyze.cli.client import asks
from deepanalyze.cli.sources import changing, looking, querying, transferring

sources = typer.Typer(
    name="sources",
    help="See, try and query data sources: of the server at --server, or else of the data directory itself, as its "
    "administrator.",
    no_args_is_help=True,
)

sources.command("list")(asks(looking.list_sources))
sources.command("test")(asks(looking.try_source))
sources.command("query")(asks(querying.query))
sources.command("browse")(asks(looking.browse))
sources.command("add")(asks(changing.add))
sources.command("show")(asks(looking.show))
sources.command("edit")(asks(changing.edit))
sources.command("remove")(asks(changing.remove))
sources.command("preview")(asks(looking.preview))
sources.command("stats")(asks(looking.stats))
sources.command("schema")(asks(looking.schema))
sources.command("fetch")(asks(transferring.fetch))
sources.command("upload")(asks(transferring.upload))

__all__ = ["sources"]
