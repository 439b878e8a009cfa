"""The commands, their arguments and options. They import what they need when they run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepanalyze.cli.serve import ConfigFile
from deepanalyze.cli.sources.options import ApiKey, DataDir, Name, Url, run_command

if TYPE_CHECKING:
    from deepanalyze.cli.sources.asking import Asker

sources = typer.Typer(
    name="sources",
    help="See, try and query data sources: of the server at --url, or else of the data directory itself, as its "
    "administrator.",
    no_args_is_help=True,
)


class Format(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@sources.command("list")
def list_sources(
    url: Url = None, api_key: ApiKey = None, config: ConfigFile = None, data_dir: DataDir = None
) -> None:
    """List the data sources."""
    from deepanalyze.cli.sources.asking import list_all

    run_command(list_all, url, api_key, config, data_dir)


@sources.command("test")
def try_source(
    name: Name,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep", help="Also certify what the credentials could do by themselves, without a trace."
        ),
    ] = False,
    script: Annotated[
        bool,
        typer.Option("--script", help="Print only the SQL that makes a credential which needs no guard."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the server's whole answer as JSON.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Connect to a data source and tell how it went; exits with 1 when it failed."""
    from deepanalyze.cli.sources.asking import try_it

    async def work(asker: Asker) -> None:
        await try_it(asker, name, deep=deep, script=script, json=json)

    run_command(work, url, api_key, config, data_dir)


@sources.command("query")
def query(
    name: Name,
    sql: Annotated[str, typer.Argument(help="One SQL statement.", metavar="SQL")],
    max_rows: Annotated[
        int | None,
        typer.Option("--max-rows", min=1, help="Rows at most.", show_default="the source's limit"),
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option("--format", help="How to write the rows.", show_default="table; csv with --output"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="The file to write, instead of printing.")
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Run one SQL statement in a data source."""
    from deepanalyze.cli.sources.querying import run_query

    chosen = format or (Format.TABLE if output is None else Format.CSV)

    async def work(asker: Asker) -> None:
        await run_query(asker, name, sql, max_rows=max_rows, format=chosen.value, output=output)

    run_command(work, url, api_key, config, data_dir)


@sources.command("browse")
def browse(
    name: Name,
    path: Annotated[
        str | None,
        typer.Argument(help="A schema, or a prefix of blobs; the top when left out.", metavar="PATH"),
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """List what a data source holds."""
    from deepanalyze.cli.sources.asking import browse_it

    async def work(asker: Asker) -> None:
        await browse_it(asker, name, path)

    run_command(work, url, api_key, config, data_dir)
