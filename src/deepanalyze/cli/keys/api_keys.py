"""API keys: made, listed and revoked."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from deepanalyze.cli.client import Asker, asks, below
from deepanalyze.cli.options import RoleName, Yes
from deepanalyze.cli.prompting import confirm
from deepanalyze.cli.shown import Shown, said

keys = typer.Typer(
    name="keys",
    help="Make, list and revoke API keys, as an administrator; rotate the encryption key.",
    no_args_is_help=True,
)

KEYS = "/v1/admin/api-keys"
_DAY_S = 24 * 60 * 60


@keys.command("create")
@asks
async def create(
    asker: Asker,
    name: Annotated[str, typer.Argument(help="A name for the key, to tell it from others.", metavar="NAME")],
    user: Annotated[
        str, typer.Option("--user", help="Whose key it is; an unknown user is made.", metavar="USER")
    ],
    role: Annotated[
        RoleName | None,
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
) -> Shown:
    """Make an API key and print it: the only time that it is shown."""
    expires_at = None if days is None else int(time.time()) + days * _DAY_S
    wanted = {"name": name, "user": user, "role": role, "sources": sources, "expires_at": expires_at}
    made = await asker.post(KEYS, wanted)
    return said(made, f"API key {made['id']} for {made['user']}, shown only now: {made['key']}")


@keys.command("list")
@asks
async def list_keys(
    asker: Asker,
    user: Annotated[
        str | None, typer.Option("--user", help="Only keys of this user.", metavar="USER")
    ] = None,
) -> Shown:
    """List the API keys by their first characters: never a key itself."""
    found = await asker.all(KEYS, user=user)
    return Shown(found, lambda: _show(found))


@keys.command("revoke")
@asks
async def revoke(
    asker: Asker,
    id: Annotated[str, typer.Argument(help="The key's id, as `list` shows it.", metavar="ID")],
    yes: Yes = False,
) -> Shown:
    """Revoke an API key: its next request is refused."""
    key = await asker.get(below(KEYS, id))
    confirm(f"Revoke the API key {key['name']!r} of {key['user']} ({key['prefix']}…)?", yes=yes)
    return said(await asker.delete(below(KEYS, id)), f"The API key {id} is revoked.")


def _show(found: Sequence[Mapping[str, Any]]) -> None:
    from deepanalyze.cli.printing import moment, table

    table(
        ("id", "begins", "name", "user", "sources", "last used", "state"),
        [
            (
                key["id"],
                key["prefix"],
                key["name"],
                key["user"],
                ", ".join(key["sources"]),
                moment(key["last_used_at"], "never"),
                _state(key),
            )
            for key in found
        ],
        none="There are no API keys.",
    )


def _state(key: Mapping[str, Any]) -> str:
    from deepanalyze.cli.printing import moment

    if key["revoked_at"] is not None:
        return f"revoked {moment(key['revoked_at'])}"
    if key["expires_at"] is None:
        return "valid"
    return f"{'expired' if key['expires_at'] <= time.time() else 'valid until'} {moment(key['expires_at'])}"
