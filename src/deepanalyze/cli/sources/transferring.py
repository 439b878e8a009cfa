"""Commands that bring files of a source here, and files of a thread into a source."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote

import typer

from deepanalyze.cli.client import Asker, below
from deepanalyze.cli.client.asker import pieces
from deepanalyze.cli.files import written
from deepanalyze.cli.plain import plain
from deepanalyze.cli.shown import Shown, said
from deepanalyze.cli.sources.names import Name, of
from deepanalyze.errors import DeepAnalyzeError


async def fetch(
    asker: Asker,
    name: Name,
    path: Annotated[
        str, typer.Argument(help="A blob or file, a glob, or a prefix ending in '/'.", metavar="PATH")
    ],
    output: Annotated[
        Path, typer.Option("--output", help="The directory to put the files into.", file_okay=False)
    ] = Path(),
) -> Shown:
    """Bring files of a source into a directory; nothing there is replaced."""
    from deepanalyze.cli.progress import waiting

    with waiting(f"Fetching from {name}"):
        fetched = await asker.post(of(name, "fetch"), {"path": path})
    thread = below("/v1/threads", fetched["thread_id"])
    try:  # a thread of its own, which is gone again afterwards
        saved = await _save_all(asker, thread, fetched["files"], output)
    finally:
        await asker.delete(thread)
    return Shown(saved, lambda: print("\n".join(plain(each["saved_as"]) for each in saved)))


async def upload(
    asker: Asker,
    name: Name,
    file: Annotated[str, typer.Argument(help="The file's name in the thread.", metavar="FILE")],
    path: Annotated[
        str,
        typer.Argument(
            help="The blob to write, below the source's upload_prefix if it has one.", metavar="PATH"
        ),
    ],
    thread: Annotated[
        str, typer.Option("--thread", help="The thread that has the file, as `threads list` shows it.")
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a blob that is there already.")
    ] = False,
) -> Shown:
    """Write a file that an analysis made into a writable data source, complete or not at all."""
    from deepanalyze.cli.progress import waiting

    body = {"thread_id": thread, "file": file, "path": path, "overwrite": overwrite}
    with waiting(f"Uploading {file}"):
        item = await asker.post(of(name, "upload"), body)
    return said(item, f"{plain(item['path'])} is written ({item['size']:,} bytes).")


async def _save_all(
    asker: Asker, thread: str, files: list[dict[str, Any]], directory: Path
) -> list[dict[str, Any]]:
    from deepanalyze.cli.progress import transfer

    saved = [{**file, "saved_as": str(_target(directory, file["file"]))} for file in files]
    with transfer(sum(file["bytes"] for file in files)) as arrived:
        for file in saved:
            path = f"{thread}/files/{quote(file['file'])}"
            await _save(asker, path, Path(file["saved_as"]), partial(arrived, file["file"]))
    return saved


def _target(directory: Path, name: str) -> Path:
    """Raises DeepAnalyzeError where there is something already, and for a name that leads out of the directory."""
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise DeepAnalyzeError(f"the server names a file {name!r}, which lies outside of {directory}")
    target = directory / name
    if os.path.lexists(target):
        raise DeepAnalyzeError(f"{target} exists already; nothing is replaced")
    return target


async def _save(asker: Asker, path: str, target: Path, arrived: Callable[[int], None]) -> None:
    async with asker.stream("GET", path) as answer:
        with written(target, replace=False) as file:
            async for piece in pieces(answer):
                await asyncio.to_thread(file.write, piece)
                arrived(len(piece))
