"""`deepanalyze users`: who may come in, as what, and to which shared sources."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from deepanalyze.cli.client import Asker, asks, below
from deepanalyze.cli.client.completion import names_of
from deepanalyze.cli.options import RoleName, Yes
from deepanalyze.cli.prompting import confirm
from deepanalyze.cli.shown import Shown, said
from deepanalyze.errors import DeepAnalyzeError

users = typer.Typer(
    name="users", help="Add, change and remove users, as an administrator.", no_args_is_help=True
)

USERS = "/v1/admin/users"
_WRITE = ":write"

Name = Annotated[
    str, typer.Argument(help="The user's name or id.", metavar="NAME", autocompletion=names_of(USERS))
]
GrantsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--grant",
        help="A shared source that the user may use, or * for all; SOURCE:write to write, too. Again for each.",
        metavar="SOURCE",
    ),
]


@users.command("list")
@asks
async def list_users(asker: Asker) -> Shown:
    """List the users, with their roles and grants."""
    found = await asker.all(USERS)
    return Shown(found, lambda: _show(found))


@users.command("add")
@asks
async def add(
    asker: Asker,
    name: Annotated[str, typer.Argument(help="A name for the user.", metavar="NAME")],
    role: Annotated[RoleName, typer.Option("--role", help="What the user is.")] = RoleName.ANALYST,
    grants: GrantsOption = None,
) -> Shown:
    """Add a user. The next step is an API key: `deepanalyze keys create`."""
    user = await asker.post(USERS, {"name": name, "role": role, "grants": _grants(grants or [])})

    def show() -> None:
        _show([user])
        print(f"Next: deepanalyze keys create laptop --user {shlex.quote(user['name'])}")

    return Shown(user, show)


@users.command("edit")
@asks
async def edit(
    asker: Asker,
    name: Name,
    new_name: Annotated[str | None, typer.Option("--name", help="A new name.")] = None,
    role: Annotated[RoleName | None, typer.Option("--role", help="What the user is from now on.")] = None,
    grants: GrantsOption = None,
    no_grants: Annotated[bool, typer.Option("--no-grants", help="Take all grants away.")] = False,
) -> Shown:
    """Change a user; what is not named stays. Grants are given as a whole: those not named are taken away."""
    if grants and no_grants:
        raise typer.BadParameter("--grant and --no-grants exclude each other")
    wanted = [] if no_grants else grants
    given = {"name": new_name, "role": role, "grants": None if wanted is None else _grants(wanted)}
    changes = {field: value for field, value in given.items() if value is not None}
    if not changes:
        raise DeepAnalyzeError("nothing to change: give --name, --role, --grant or --no-grants")
    user = await asker.patch(below(USERS, name), changes)
    return Shown(user, lambda: _show([user]))


@users.command("remove")
@asks
async def remove(asker: Asker, name: Name, yes: Yes = False) -> Shown:
    """Remove a user with keys, private sources, threads and files. Sources that the user shared stay."""
    user = await asker.get(below(USERS, name))
    confirm(f"Remove the user {user['name']!r} with keys, private sources, threads and files?", yes=yes)
    return said(await asker.delete(below(USERS, user["id"])), f"{user['name']} is removed.")


def _grants(given: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"source_id": text.removesuffix(_WRITE), "use": True, "write": text.endswith(_WRITE)}
        for text in given
    ]


def _show(found: Sequence[Mapping[str, Any]]) -> None:
    from deepanalyze.cli.printing import moment, table

    table(
        ("name", "role", "grants", "since", "id"),
        [
            (user["name"], user["role"], _told(user["grants"]), moment(user["created_at"]), user["id"])
            for user in found
        ],
        none="There are no users.",
    )


def _told(grants: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(grant["source_id"] + (_WRITE if grant["write"] else "") for grant in grants)
