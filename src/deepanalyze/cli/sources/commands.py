"""The commands, their arguments and options. They import what they need when they run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepanalyze.cli.serve import ConfigFile

if TYPE_CHECKING:
    from deepanalyze.cli.sources.asking import Asker

sources = typer.Typer(
    name="sources",
    help="See, try and query data sources: of the server at --url, or else of the data directory itself, as its "
    "administrator.",
    no_args_is_help=True,
)

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="DEEPANALYZE_URL", help="The server to ask; also DEEPANALYZE_URL."),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="DEEPANALYZE_API_KEY",
        help="The API key to show it; better in DEEPANALYZE_API_KEY, where other users do not see it.",
    ),
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="The data directory to open when no server is named.")
]
Name = Annotated[str, typer.Argument(help="The source's name or id.", metavar="NAME")]


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

    ask(list_all, url, api_key, config, data_dir)


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

    ask(work, url, api_key, config, data_dir)


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

    ask(work, url, api_key, config, data_dir)


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

    ask(work, url, api_key, config, data_dir)


def ask(
    work: Callable[[Asker], Awaitable[None]],
    url: str | None,
    api_key: str | None,
    config: Path | None,
    data_dir: Path | None,
) -> None:
    from deepanalyze.cli.failures import INTERRUPTED, told_clearly
    from deepanalyze.cli.loop import run
    from deepanalyze.cli.sources.asking import Asker
    from deepanalyze.cli.sources.door import local, remote

    async def main() -> None:
        async with remote(url, api_key) if url else local(config, data_dir) as client:
            await work(Asker(client))

    with told_clearly():
        if not run(main()):
            raise typer.Exit(INTERRUPTED)
