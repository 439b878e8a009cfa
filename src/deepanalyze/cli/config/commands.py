"""The commands and their options. They import what they need when they run, and open nothing."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from deepanalyze.cli.serve import ConfigFile

config = typer.Typer(
    name="config",
    help="Check and show the configuration: flags, environment and deepanalyze.toml.",
    no_args_is_help=True,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@config.command("check")
def check(config: ConfigFile = None, json: Json = False) -> None:
    """Say everything that is wrong, or that nothing is. Nothing is opened, and no source is connected to.

    Settings, encryption keys, and the data sources and users that the file declares. Exit code 2 when one is wrong.
    """
    from deepanalyze.cli.failures import CANNOT_START, told_clearly
    from deepanalyze.configured import load_configuration
    from deepanalyze.errors import ConfigurationError

    with told_clearly():
        try:
            file = load_configuration({}, config).config_file
        except ConfigurationError as error:
            if not json:
                raise
            print(jsonlib.dumps({"valid": False, "errors": error.details}))
            raise typer.Exit(CANNOT_START) from None
        if json:
            print(jsonlib.dumps({"valid": True, "errors": [], "file": file and str(file)}))
        else:
            print(f"The configuration is right ({file or 'there is no configuration file'}).")


@config.command("show")
def show(config: ConfigFile = None, json: Json = False) -> None:
    """Show every value with where it came from; secrets are masked."""
    from deepanalyze.cli.failures import told_clearly

    with told_clearly():
        shown = _shown(config)
        print(jsonlib.dumps(shown)) if json else _tables(shown)


def _shown(path: Path | None) -> dict[str, Any]:
    from deepanalyze.configured import load_configuration, shown_declarations
    from deepanalyze.settings import effective_settings

    settings = load_configuration({}, path)
    rows = [{"name": s.name, "value": s.value, "origin": s.origin} for s in effective_settings(settings)]
    return {"settings": rows, **shown_declarations(settings.config_file)}


def _tables(shown: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    for title, rows in shown.items():
        if not rows:
            continue
        table = Table(*rows[0], title=title.replace("_", " "), title_justify="left")
        for row in rows:
            table.add_row(*(escape(_text(value)) for value in row.values()))
        console.print(table)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else jsonlib.dumps(value, ensure_ascii=False)
