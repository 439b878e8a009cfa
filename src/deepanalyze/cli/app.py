"""The commands and what they have in common."""

from __future__ import annotations

from typing import Annotated

import typer

from deepanalyze import __version__
from deepanalyze.cli.audit import audit
from deepanalyze.cli.config import config
from deepanalyze.cli.demo import demo
from deepanalyze.cli.dev import dev
from deepanalyze.cli.keys import keys
from deepanalyze.cli.serve import serve
from deepanalyze.cli.sources import sources
from deepanalyze.cli.threads import threads
from deepanalyze.cli.users import users

app = typer.Typer(
    name="deepanalyze",
    help="A self-hosted data analyst over PostgreSQL, Azure Blob Storage and files.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deepanalyze {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Without a command, this help."""


app.command()(serve)
app.command()(demo)
app.command()(dev)
app.add_typer(sources)
app.add_typer(config)
app.add_typer(users)
app.add_typer(keys)
app.add_typer(threads)
app.add_typer(audit)
