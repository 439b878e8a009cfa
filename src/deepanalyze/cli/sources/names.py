"""How the commands name a source and what is in it."""

from __future__ import annotations

from typing import Annotated

import typer

from deepanalyze.cli.client import below
from deepanalyze.cli.client.completion import names_of

SOURCES = "/v1/data-sources"

Name = Annotated[
    str,
    typer.Argument(help="The source's name or id.", metavar="NAME", autocompletion=names_of(SOURCES)),
]
ItemPath = Annotated[
    str, typer.Argument(help="A blob's or file's path, or a table as schema.table.", metavar="PATH")
]


def of(name: str, what: str = "") -> str:
    """The address of a source, or of `what` it has."""
    return below(SOURCES, name, what)
