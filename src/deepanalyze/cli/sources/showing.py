"""What `preview`, `stats` and `schema` ask the API."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from typing import Any

from deepanalyze.cli.sources.asking import Asker, of
from deepanalyze.cli.sources.display import Display


async def show_preview(asker: Asker, name: str, path: str, *, limit: int | None, json: bool) -> None:
    answer = await asker.get(of(name, "preview"), path=path, limit=limit)
    if not _printed(answer, json):
        Display().preview(answer)


async def show_statistics(asker: Asker, name: str, path: str, *, json: bool) -> None:
    answer = await asker.get(of(name, "statistics"), path=path)
    if not _printed(answer, json):
        Display().statistics(answer)


async def show_schema(asker: Asker, name: str, *, json: bool) -> None:
    answer = await asker.get(of(name, "schema"))
    if not _printed(answer, json):
        Display().schema(answer)


def _printed(answer: Mapping[str, Any], json: bool) -> bool:
    if json:
        print(jsonlib.dumps(answer, ensure_ascii=False, indent=2))
    return json
