"""The commands, their arguments and options. They import what they need when they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deepanalyze.cli.administering import Json, Yes
from deepanalyze.cli.serve import ConfigFile
from deepanalyze.cli.sources.options import ApiKey, DataDir, Url, run_command

if TYPE_CHECKING:
    from deepanalyze.cli.sources.asking import Asker

threads = typer.Typer(
    name="threads",
    help="List and remove your threads; count and clean up everybody's, as an administrator.",
    no_args_is_help=True,
)


@threads.command("list")
def list_threads(
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """List your own threads."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.threads.asking import show_all

        await show_all(asker, json=json)

    run_command(work, url, api_key, config, data_dir)


@threads.command("stats")
def stats(
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Count the threads of all users, and what they take of the disk."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.threads.asking import show_stats

        await show_stats(asker, json=json)

    run_command(work, url, api_key, config, data_dir)


@threads.command("cleanup")
def cleanup(
    hours: Annotated[
        float | None,
        typer.Option(
            "--unused-hours",
            min=0,
            max=10**6,
            help="Remove what was not used for so long.",
            show_default="the server's thread_ttl_hours",
        ),
    ] = None,
    yes: Yes = False,
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Remove threads of all users that were not used for some hours, with their files."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.threads.asking import clean_up

        await clean_up(asker, hours, yes=yes, json=json)

    run_command(work, url, api_key, config, data_dir)


@threads.command("remove")
def remove(
    id: Annotated[str, typer.Argument(help="The thread's id, as `list` shows it.", metavar="ID")],
    yes: Yes = False,
    json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Remove one of your threads with its messages and files, and end what runs in it."""

    async def work(asker: Asker) -> None:
        from deepanalyze.cli.threads.asking import remove_thread

        await remove_thread(asker, id, yes=yes, json=json)

    run_command(work, url, api_key, config, data_dir)
