"""`deepanalyze dev`: PostgreSQL and a blob service with sample data, to develop and try things against."""

from __future__ import annotations

import json as jsonlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Never

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from deepanalyze.devservices import Services
    from deepanalyze.devservices.sampledata import SampleData

LABELS = {"flights": "336,776 flights", "keys": "keys and statistics", "weather": "weather, 12 files"}
EMPTY_DATABASE = "dev"


@dataclass(frozen=True, slots=True)
class Options:
    directory: Path
    sample_data: bool
    json: bool


def dev(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            help="Where the databases are kept.",
            show_default="dev/ below the user's data directory",
        ),
    ] = None,
    sample_data: Annotated[
        bool, typer.Option("--sample-data/--no-sample-data", help="Load a year of flights and their weather.")
    ] = True,
    json: Annotated[
        bool, typer.Option("--json", help="Print the connection details as one line of JSON.")
    ] = False,
) -> None:
    """Run PostgreSQL and Azure Blob Storage (Azurite) on this machine with sample data, until Ctrl-C."""
    from deepanalyze.cli.failures import told_clearly
    from deepanalyze.cli.loop import run
    from deepanalyze.settings import load_settings

    with told_clearly():
        home = (data_dir or load_settings({}, None).data_dir / "dev").absolute()
        run(_serve(Options(home / "services", sample_data, json)))


async def _serve(options: Options) -> Never:
    from rich.console import Console

    from deepanalyze.devservices import open_services
    from deepanalyze.errors import DeepAnalyzeError

    console = Console(stderr=options.json)  # with --json, standard output holds the details alone
    async with open_services(options.directory) as services:
        details = await _details(services, options, console)
        if options.json:
            print(jsonlib.dumps(details), flush=True)
        else:
            _tell(details, console)
        ended = await services.until_one_ends()
        raise DeepAnalyzeError(f"{ended.name} ended unexpectedly; its log is {ended.log}")


async def _details(services: Services, options: Options, console: Console) -> dict[str, Any]:
    """What it takes to connect, also as the data sources to register."""
    postgres, azurite = services.postgres, services.azurite
    database = EMPTY_DATABASE
    sources = []
    if options.sample_data:
        sample = await load_sample_data(services, console)
        database = str(sample.postgres_config["database"])
        sources.append({"type": "azure_blob", "name": "nyc-weather", "config": sample.blob_config})
    else:
        await postgres.create_database(database)
    source = {"type": "postgresql", "name": f"nyc-{database}", "config": postgres.analyst_config(database)}
    return {
        "ok": True,
        "directory": str(options.directory),
        "postgresql": {
            "analyst": postgres.uri(database, postgres.analyst, postgres.analyst_password),
            "owner": postgres.uri(database),
        },
        "azure_blob": {"connection_string": azurite.connection_string},
        "data_sources": [source, *sources],
    }


async def load_sample_data(services: Services, console: Console) -> SampleData:
    """Loads the sample data with a progress bar, which shows only what has to be loaded."""
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    from deepanalyze.devservices import sampledata

    columns = (TextColumn("Loading {task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(LABELS.get(what, what))
            progress.update(tasks[what], completed=done, total=total)

        return await sampledata.load_sample_data(services, show)


def _tell(details: dict[str, Any], console: Console) -> None:
    """Nothing is wrapped, so that it can be copied."""

    def heading(text: str) -> None:
        console.print(f"\n[bold]{text}[/bold]", highlight=False, soft_wrap=True)

    heading("PostgreSQL, read-only analyst")
    print(details["postgresql"]["analyst"])
    heading("PostgreSQL, owner")
    print(details["postgresql"]["owner"])
    heading("Azure Blob Storage (Azurite)")
    print(details["azure_blob"]["connection_string"])
    heading("To add them to a running server, with an API key in $KEY")
    for source in details["data_sources"]:
        print(_registration(source))
    print(f"\nEverything is kept in {details['directory']}. Ctrl-C stops it.", flush=True)


def _registration(source: dict[str, Any]) -> str:
    return (
        'curl http://127.0.0.1:8200/v1/data-sources -H "Authorization: Bearer $KEY" '
        f"-H 'Content-Type: application/json' -d '{jsonlib.dumps(source)}'"
    )
