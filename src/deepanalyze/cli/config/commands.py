"""The commands and their options. They import what they need when they run, and open nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deepanalyze.cli.options import ConfigFile, Json
from deepanalyze.cli.shown import Shown, said

if TYPE_CHECKING:
    from deepanalyze.settings import Settings

config = typer.Typer(
    name="config",
    help="Check and show the configuration: flags, environment and deepanalyze.toml.",
    no_args_is_help=True,
)


@config.command("check")
def check(config: ConfigFile = None, json: Json = False) -> None:
    """Say everything that is wrong, or that nothing is. Nothing is opened, and no source is connected to.

    Settings, encryption keys, and the data sources and users that the file declares. Exit code 2 when one is wrong.
    Model servers are asked what they offer; one that does not answer, or does not list its model, is told, too.
    """
    import asyncio

    from deepanalyze.cli.failures import told_clearly
    from deepanalyze.configured import load_configuration
    from deepanalyze.errors import ConfigurationError

    with told_clearly():
        try:
            settings = load_configuration({}, config)
        except ConfigurationError as error:
            found = Shown({"valid": False, "errors": error.details}, error=error)
        else:
            file, problems = settings.config_file, asyncio.run(_model_problems(settings))
            sentence = f"The configuration is right ({file or 'there is no configuration file'})."
            told = "\n".join([sentence, *(f"Models: {problem}" for problem in problems)])
            shown = {"valid": True, "errors": [], "file": file and str(file), "model_problems": problems}
            found = said(shown, told)
        found.put(json=json)


async def _model_problems(settings: Settings) -> list[str]:
    from deepanalyze.analysis.models.catalog import Catalog

    async with Catalog(settings.configured_models) as models:
        return list(await models.check())


@config.command("show")
def show(config: ConfigFile = None, json: Json = False) -> None:
    """Show every value with where it came from; secrets are masked."""
    from deepanalyze.cli.failures import told_clearly

    with told_clearly():
        shown = _shown(config)
        Shown(shown, lambda: _tables(shown)).put(json=json)


def _shown(path: Path | None) -> dict[str, Any]:
    from deepanalyze.configured import load_configuration, shown_declarations
    from deepanalyze.settings import effective_settings

    settings = load_configuration({}, path)
    rows = [{"name": s.name, "value": s.value, "origin": s.origin} for s in effective_settings(settings)]
    return {"settings": rows, **shown_declarations(settings.config_file)}


def _tables(shown: dict[str, Any]) -> None:
    from deepanalyze.cli.printing import table

    for title, rows in shown.items():
        if rows:
            cells = [["" if value is None else value for value in row.values()] for row in rows]
            table(list(rows[0]), cells, title=title.replace("_", " "))
