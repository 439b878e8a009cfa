"""The command: services up, server up, sources registered over HTTP, one question asked, then it stays up."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepanalyze.cli.options import ConfigFile

if TYPE_CHECKING:
    from deepanalyze.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    once: bool
    json: bool
    any_port: bool


def demo(
    config: ConfigFile = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            help="Where the demo keeps its databases, state and reports.",
            show_default="demo/ below the user's data directory",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", help="The port to listen on.", show_default="8200, else a free one"),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End after the answer.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON summary as the last line.")] = False,
) -> None:
    """Start PostgreSQL, a blob container and the server with sample data, and answer a question over them.

    The built-in profiler answers; with DEEPANALYZE_MODEL_BASE_URL set, that model does.
    """
    from deepanalyze.cli.demo.session import run_demo
    from deepanalyze.cli.failures import INTERRUPTED, told_clearly
    from deepanalyze.cli.loop import run
    from deepanalyze.logging import configure_logging
    from deepanalyze.settings import load_settings

    began = time.monotonic()
    with told_clearly():
        settings = load_settings({"port": port, "log_level": "warning"}, config)
        home = (data_dir or settings.data_dir / "demo").absolute()
        configure_logging(settings.log_level, settings.log_format)
        options = Options(once=once, json=json, any_port=port is None)
        if not run(run_demo(_for_demo(settings, home), home, options, began)) and once:
            raise typer.Exit(INTERRUPTED)


def _for_demo(settings: Settings, home: Path) -> Settings:
    from pydantic import SecretStr

    from deepanalyze.cli.demo.keys import admin_key

    return settings.model_copy(
        update={
            "data_dir": home / "server",
            "admin_api_key": settings.admin_api_key or SecretStr(admin_key(home)),
        }
    )
