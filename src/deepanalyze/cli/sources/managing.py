"""Commands that make, show, change and remove sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deepanalyze.cli.serve import ConfigFile
from deepanalyze.cli.sources.options import ApiKey, DataDir, Json, Name, Url, run_command

if TYPE_CHECKING:
    from deepanalyze.cli.sources.asking import Asker

Values = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A parameter as name=value; the value may be JSON. Again for each.",
        metavar="NAME=VALUE",
    ),
]
Secrets = Annotated[
    list[str] | None,
    typer.Option(
        "--secret", help="A parameter to ask for without showing it. Again for each.", metavar="NAME"
    ),
]
NoTest = Annotated[bool, typer.Option("--no-test", help="Store without connecting first.")]


def show(
    name: Name,
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Show one data source, its secrets masked."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.sources.editing import show_source

        await show_source(asker, name, json=json)

    run_command(work, url, api_key, config, data_dir)


def add(
    name: Annotated[str | None, typer.Argument(help="A name for the source.", metavar="NAME")] = None,
    type: Annotated[str | None, typer.Option("--type", help="The type of source, as postgresql.")] = None,
    values: Values = None,
    secrets: Secrets = None,
    no_test: NoTest = False,
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Add a data source: asks for what is not given, hides secrets, connects, and says what to do next."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.sources.adding import add_source
        from deepanalyze.cli.sources.values import given

        await add_source(asker, name, type, given(values or [], secrets or []), test=not no_test, json=json)

    run_command(work, url, api_key, config, data_dir)


def edit(
    name: Name,
    values: Values = None,
    secrets: Secrets = None,
    new_name: Annotated[str | None, typer.Option("--name", help="A new name.")] = None,
    no_test: NoTest = False,
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Change a data source; what is not named stays as it is. `--set name=null` takes a parameter away."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.sources.editing import edit_source
        from deepanalyze.cli.sources.values import given

        changes = given(values or [], secrets or [])
        await edit_source(asker, name, changes, new_name=new_name, test=not no_test, json=json)

    run_command(work, url, api_key, config, data_dir)


def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Remove a data source: its credentials are forgotten and its connections closed. Its data stay where they are."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.sources.editing import remove_source

        await remove_source(asker, name, yes=yes)

    run_command(work, url, api_key, config, data_dir)
