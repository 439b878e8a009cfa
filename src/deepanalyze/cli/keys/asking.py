"""What the commands ask the API."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from deepanalyze.cli.administering import below, confirm, moment, print_json
from deepanalyze.cli.sources.asking import Asker
from deepanalyze.cli.sources.display import Display

KEYS = "/v1/admin/api-keys"
_DAY_S = 24 * 60 * 60


async def create_key(
    asker: Asker,
    name: str,
    user: str,
    role: str | None,
    sources: Sequence[str] | None,
    days: int | None,
    *,
    json: bool,
) -> None:
    expires_at = None if days is None else int(time.time()) + days * _DAY_S
    wanted = {"name": name, "user": user, "role": role, "sources": sources, "expires_at": expires_at}
    made = await asker.post(KEYS, wanted)
    if json:
        print_json(made)
    else:
        print(f"API key {made['id']} for {made['user']}, shown only now: {made['key']}")


async def show_all(asker: Asker, user: str | None, *, json: bool) -> None:
    keys = [key async for key in asker.items(KEYS, user=user)]
    if json:
        print_json(keys)
        return
    Display().table(
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
            for key in keys
        ],
        none="There are no API keys.",
    )


async def revoke_key(asker: Asker, id: str, *, yes: bool, json: bool) -> None:
    key = await asker.get(below(KEYS, id))
    confirm(f"Revoke the API key {key['name']!r} of {key['user']} ({key['prefix']}…)?", yes=yes)
    answer = await asker.delete(below(KEYS, id))
    if json:
        print_json(answer)
    else:
        print(f"The API key {id} is revoked.")


def _state(key: Mapping[str, Any]) -> str:
    if key["revoked_at"] is not None:
        return f"revoked {moment(key['revoked_at'])}"
    if key["expires_at"] is None:
        return "valid"
    return f"{'expired' if key['expires_at'] <= time.time() else 'valid until'} {moment(key['expires_at'])}"
