"""The commands, their arguments and options. They import what they need when they run."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from deepanalyze.cli.administering import Json, Yes
from deepanalyze.cli.serve import ConfigFile
from deepanalyze.cli.sources.options import ApiKey, DataDir, Url, run_command

if TYPE_CHECKING:
    from deepanalyze.cli.sources.asking import Asker

users = typer.Typer(
    name="users", help="Add, change and remove users, as an administrator.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="The user's name or id.", metavar="NAME")]
GrantsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--grant",
        help="A shared source that the user may use, or * for all; SOURCE:write to write, too. Again for each.",
        metavar="SOURCE",
    ),
]


class RoleName(StrEnum):
    ANALYST = "analyst"
    ADMIN = "admin"


@users.command("list")
def list_users(
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """List the users, with their roles and grants."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.users.asking import show_all

        await show_all(asker, json=json)

    run_command(work, url, api_key, config, data_dir)


@users.command("add")
def add(
    name: Annotated[str, typer.Argument(help="A name for the user.", metavar="NAME")],
    role: Annotated[RoleName, typer.Option("--role", help="What the user is.")] = RoleName.ANALYST,
    grants: GrantsOption = None,
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Add a user. The next step is an API key: `deepanalyze keys create`."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.users.asking import add_user

        await add_user(asker, name, role.value, grants or [], json=json)

    run_command(work, url, api_key, config, data_dir)


@users.command("edit")
def edit(
    name: Name,
    new_name: Annotated[str | None, typer.Option("--name", help="A new name.")] = None,
    role: Annotated[RoleName | None, typer.Option("--role", help="What the user is from now on.")] = None,
    grants: GrantsOption = None,
    no_grants: Annotated[bool, typer.Option("--no-grants", help="Take all grants away.")] = False,
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Change a user; what is not named stays. Grants are given as a whole: those not named are taken away."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.users.asking import edit_user

        wanted = [] if no_grants else grants
        await edit_user(asker, name, new_name, role and role.value, wanted, json=json)

    run_command(work, url, api_key, config, data_dir)


@users.command("remove")
def remove(
    name: Name,
    yes: Yes = False,
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Remove a user with keys, private sources, threads and files. Sources that the user shared stay."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.users.asking import remove_user

        await remove_user(asker, name, yes=yes, json=json)

    run_command(work, url, api_key, config, data_dir)
