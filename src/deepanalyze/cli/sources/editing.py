"""What `show`, `edit` and `remove` ask the API."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Mapping
from typing import Any

import typer

from deepanalyze.cli.sources.asking import Asker, of
from deepanalyze.cli.sources.display import Display
from deepanalyze.errors import DeepAnalyzeError


async def show_source(asker: Asker, name: str, *, json: bool) -> None:
    source = await asker.get(of(name))
    if json:
        print(jsonlib.dumps(source, ensure_ascii=False, indent=2))
    else:
        Display().source(source)


async def edit_source(
    asker: Asker, name: str, changes: Mapping[str, Any], *, new_name: str | None, test: bool, json: bool
) -> None:
    if not changes and new_name is None:
        raise DeepAnalyzeError("nothing to change: give --set name=value, --secret name or --name")
    body: dict[str, Any] = {"test_connection": test}
    if changes:
        body["config"] = dict(changes)
    if new_name is not None:
        body["name"] = new_name
    changed = await asker.patch(of(name), body)
    if json:
        print(jsonlib.dumps(changed, ensure_ascii=False, indent=2))
    else:
        Display().source(changed)


async def remove_source(asker: Asker, name: str, *, yes: bool) -> None:
    source = await asker.get(of(name))
    if not yes:
        if not sys.stdin.isatty():
            raise DeepAnalyzeError(f"removing {source['name']!r} has to be confirmed: pass --yes")
        typer.confirm(f"Remove the data source {source['name']!r} ({source['type']})?", abort=True, err=True)
    await asker.delete(of(source["id"]))
    print(f"{source['name']} is removed.")
