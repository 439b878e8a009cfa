"""`deepanalyze sources`: add, see, try, query and change the data sources of a server, or of a data directory that none
serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import typer

from deepanalyze.cli.client import asks
from deepanalyze.cli.sources import changing, looking, querying, transferring

sources = typer.Typer(
    name="sources",
    help="See, try and query data sources: of the server at --server, or else of the data directory itself, as its "
    "administrator.",
    no_args_is_help=True,
)

_COMMANDS: Mapping[str, Callable[..., Any]] = {
    "list": looking.list_sources,
    "test": looking.try_source,
    "query": querying.query,
    "browse": looking.browse,
    "add": changing.add,
    "show": looking.show,
    "edit": changing.edit,
    "remove": changing.remove,
    "preview": looking.preview,
    "stats": looking.stats,
    "schema": looking.schema,
    "fetch": transferring.fetch,
    "upload": transferring.upload,
}
for _name, _command in _COMMANDS.items():
    sources.command(_name)(asks(_command))

__all__ = ["sources"]
