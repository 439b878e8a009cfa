"""The commands, their arguments and options. They import what they need when they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deepanalyze.cli.administering import Json, Yes
from deepanalyze.cli.serve import ConfigFile
from deepanalyze.cli.sources.options import ApiKey, DataDir, Url, run_command

if TYPE_CHECKING:
    from deepanalyze.cli.sources.asking import Asker

keys = typer.Typer(
    name="keys",
    help="Make, list and revoke API keys, as an administrator; rotate the encryption key.",
    no_args_is_help=True,
)


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="A name for the key, to tell it from others.", metavar="NAME")],
    user: Annotated[
        str, typer.Option("--user", help="Whose key it is; an unknown user is made.", metavar="USER")
    ],
    role: Annotated[
        str | None,
        typer.Option("--role", help="Of a user that is made: analyst or admin.", show_default="analyst"),
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--source", help="Hold the key to this source (* for all). Again for each.", metavar="SOURCE"
        ),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(
            "--days", min=1, max=36500, help="It expires so many days from now.", show_default="never"
        ),
    ] = None,
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Make an API key and print it: the only time that it is shown."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.keys.asking import create_key

        await create_key(asker, name, user, role, sources, days, json=json)

    run_command(work, url, api_key, config, data_dir)


@keys.command("list")
def list_keys(
    user: Annotated[
        str | None, typer.Option("--user", help="Only keys of this user.", metavar="USER")
    ] = None,
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """List the API keys by their first characters: never a key itself."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.keys.asking import show_all

        await show_all(asker, user, json=json)

    run_command(work, url, api_key, config, data_dir)


@keys.command("revoke")
def revoke(
    id: Annotated[str, typer.Argument(help="The key's id, as `list` shows it.", metavar="ID")],
    yes: Yes = False,
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Revoke an API key: its next request is refused."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.keys.asking import revoke_key

        await revoke_key(asker, id, yes=yes, json=json)

    run_command(work, url, api_key, config, data_dir)
