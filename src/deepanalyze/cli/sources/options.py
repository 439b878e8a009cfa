"""What the commands that ask a server have in common: its address and key, and how they run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from deepanalyze.cli.sources.asking import Asker

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="DEEPANALYZE_URL", help="The server to ask; also DEEPANALYZE_URL."),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="DEEPANALYZE_API_KEY",
        help="The API key to show it; better in DEEPANALYZE_API_KEY, where other users do not see it.",
    ),
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="The data directory to open when no server is named.")
]
Name = Annotated[str, typer.Argument(help="The source's name or id.", metavar="NAME")]
Json = Annotated[bool, typer.Option("--json", help="Print the server's whole answer as JSON.")]


def run_command(
    work: Callable[[Asker], Awaitable[None]],
    url: str | None,
    api_key: str | None,
    config: Path | None,
    data_dir: Path | None,
) -> None:
    from deepanalyze.cli.failures import INTERRUPTED, told_clearly
    from deepanalyze.cli.loop import run
    from deepanalyze.cli.sources.asking import Asker
    from deepanalyze.cli.sources.door import local, remote

    async def main() -> None:
        async with remote(url, api_key) if url else local(config, data_dir) as client:
            await work(Asker(client))

    with told_clearly():
        if not run(main()):
            raise typer.Exit(INTERRUPTED)
