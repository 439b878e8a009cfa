"""Options that several commands have: each is defined once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="The configuration file.", show_default="./deepanalyze.toml")
]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where the server keeps its state.")]
Json = Annotated[bool, typer.Option("--json", help="Print the whole answer as one JSON document.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask first.")]


class RoleName(StrEnum):
    ANALYST = "analyst"
    ADMIN = "admin"
