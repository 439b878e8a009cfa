"""What the commands of administrators have in common."""

from __future__ import annotations

import json as jsonlib
import sys
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from deepanalyze.errors import DeepAnalyzeError

Json = Annotated[bool, typer.Option("--json", help="Print the server's whole answer as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask first.")]


def print_json(answer: Any) -> None:
    print(jsonlib.dumps(answer, ensure_ascii=False, indent=2))


def below(path: str, name: str) -> str:
    """The address of one thing of a collection."""
    if "/" in name:  # which servers take for the end of a path's part however it is written
        raise DeepAnalyzeError(f"there is no {name!r}; neither ids nor names have a '/'")
    return f"{path}/{quote(name, safe='')}"


def confirm(what: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise DeepAnalyzeError(f"this has to be confirmed: {what} Pass --yes")
    typer.confirm(what, abort=True, err=True)


def moment(seconds: int | None, otherwise: str = "") -> str:
    return otherwise if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
