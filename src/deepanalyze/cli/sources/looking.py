"""Commands that look into a source: preview, stats, schema and fetch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepanalyze.cli.serve import ConfigFile
from deepanalyze.cli.sources.options import ApiKey, DataDir, Json, Name, Url, run_command

if TYPE_CHECKING:
    from deepanalyze.cli.sources.asking import Asker

ItemPath = Annotated[
    str, typer.Argument(help="A blob's or file's path, or a table as schema.table.", metavar="PATH")
]


def preview(
    name: Name,
    path: ItemPath,
    limit: Annotated[int | None, typer.Option("--limit", min=1, max=1000, help="Rows to show.")] = None,
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Show the first rows of a table or file."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.sources.showing import show_preview

        await show_preview(asker, name, path, limit=limit, json=json)

    run_command(work, url, api_key, config, data_dir)


def stats(
    name: Name,
    path: ItemPath,
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Show statistics of the columns of a table or file."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.sources.showing import show_statistics

        await show_statistics(asker, name, path, json=json)

    run_command(work, url, api_key, config, data_dir)


def schema(
    name: Name,
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """List a database's relations with their columns, and how they relate."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.sources.showing import show_schema

        await show_schema(asker, name, json=json)

    run_command(work, url, api_key, config, data_dir)


def fetch(
    name: Name,
    path: Annotated[
        str, typer.Argument(help="A blob or file, a glob, or a prefix ending in '/'.", metavar="PATH")
    ],
    output: Annotated[
        Path, typer.Option("--output", help="The directory to put the files into.", file_okay=False)
    ] = Path(),
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Bring files of a source into a directory; nothing there is replaced."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.sources.bringing import bring

        await bring(asker, name, path, output)

    run_command(work, url, api_key, config, data_dir)
