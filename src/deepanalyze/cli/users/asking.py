"""What the commands ask the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepanalyze.cli.administering import below, confirm, moment, print_json
from deepanalyze.cli.sources.asking import Asker
from deepanalyze.cli.sources.display import Display
from deepanalyze.errors import DeepAnalyzeError

USERS = "/v1/admin/users"
_WRITE = ":write"


async def show_all(asker: Asker, *, json: bool) -> None:
    _show([user async for user in asker.items(USERS)], json=json)


async def add_user(asker: Asker, name: str, role: str, grants: Sequence[str], *, json: bool) -> None:
    user = await asker.post(USERS, {"name": name, "role": role, "grants": _grants(grants)})
    if json:
        print_json(user)
        return
    _table([user])
    print(f"Next: deepanalyze keys create laptop --user {user['name']}")


async def edit_user(
    asker: Asker,
    name: str,
    new_name: str | None,
    role: str | None,
    grants: Sequence[str] | None,
    *,
    json: bool,
) -> None:
    given = {"name": new_name, "role": role, "grants": None if grants is None else _grants(grants)}
    changes = {field: value for field, value in given.items() if value is not None}
    if not changes:
        raise DeepAnalyzeError("nothing to change: give --name, --role, --grant or --no-grants")
    user = await asker.patch(below(USERS, name), changes)
    if json:
        print_json(user)
    else:
        _table([user])


async def remove_user(asker: Asker, name: str, *, yes: bool, json: bool) -> None:
    user = await asker.get(below(USERS, name))
    confirm(
        f"Remove the user {user['name']!r} with keys, private sources, threads and files?",
        yes=yes,
    )
    answer = await asker.delete(below(USERS, user["id"]))
    if json:
        print_json(answer)
    else:
        print(f"{user['name']} is removed.")


def _grants(given: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"source_id": text.removesuffix(_WRITE), "use": True, "write": text.endswith(_WRITE)}
        for text in given
    ]


def _show(users: Sequence[Mapping[str, Any]], *, json: bool) -> None:
    if json:
        print_json(users)
    else:
        _table(users)


def _table(users: Sequence[Mapping[str, Any]]) -> None:
    Display().table(
        ("name", "role", "grants", "since", "id"),
        [
            (user["name"], user["role"], _told(user["grants"]), moment(user["created_at"]), user["id"])
            for user in users
        ],
        none="There are no users.",
    )


def _told(grants: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(grant["source_id"] + (_WRITE if grant["write"] else "") for grant in grants)
