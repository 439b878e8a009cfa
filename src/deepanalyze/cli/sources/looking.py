"""Commands that look at sources, and into one."""

from __future__ import annotations

from typing import Annotated

import typer

from deepanalyze.cli.client import Asker
from deepanalyze.cli.client.asker import told
from deepanalyze.cli.shown import Shown
from deepanalyze.cli.sources.names import SOURCES, ItemPath, Name, of
from deepanalyze.errors import DeepAnalyzeError


async def list_sources(asker: Asker) -> Shown:
    """List the data sources."""
    from deepanalyze.cli.sources.display import Display

    found = await asker.all(SOURCES)
    return Shown(found, lambda: Display().sources(found))


async def show(asker: Asker, name: Name) -> Shown:
    """Show one data source, its secrets masked."""
    from deepanalyze.cli.sources.display import Display

    source = await asker.get(of(name))
    return Shown(source, lambda: Display().source(source))


async def try_source(
    asker: Asker,
    name: Name,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep", help="Also certify what the credentials could do by themselves, without a trace."
        ),
    ] = False,
    script: Annotated[
        bool,
        typer.Option("--script", help="Print only the SQL that makes a credential which needs no guard."),
    ] = False,
) -> Shown:
    """Connect to a data source and tell how it went; exits with 1 when it failed."""
    from deepanalyze.cli.sources.display import Display

    result = await asker.post(of(name, "test"), deep=deep or script)
    if result["status"] != "success":
        return Shown(result, error=DeepAnalyzeError(told(result["error"])))
    if script:
        return Shown(result, lambda: print(result["certificate"]["script"]))
    return Shown(result, lambda: Display().test(name, result))


async def browse(
    asker: Asker,
    name: Name,
    path: Annotated[
        str | None,
        typer.Argument(help="A schema, or a prefix of blobs; the top when left out.", metavar="PATH"),
    ] = None,
) -> Shown:
    """List what a data source holds."""
    from deepanalyze.cli.sources.display import Display

    items = await asker.all(of(name, "browse"), path=path)
    return Shown(items, lambda: Display().items(items))


async def preview(
    asker: Asker,
    name: Name,
    path: ItemPath,
    limit: Annotated[int | None, typer.Option("--limit", min=1, max=1000, help="Rows to show.")] = None,
) -> Shown:
    """Show the first rows of a table or file."""
    from deepanalyze.cli.sources.display import Display

    answer = await asker.get(of(name, "preview"), path=path, limit=limit)
    return Shown(answer, lambda: Display().preview(answer))


async def stats(asker: Asker, name: Name, path: ItemPath) -> Shown:
    """Show statistics of the columns of a table or file."""
    from deepanalyze.cli.sources.display import Display

    answer = await asker.get(of(name, "statistics"), path=path)
    return Shown(answer, lambda: Display().statistics(answer))


async def schema(asker: Asker, name: Name) -> Shown:
    """List a database's relations with their columns, and how they relate."""
    from deepanalyze.cli.sources.display import Display

    answer = await asker.get(of(name, "schema"))
    return Shown(answer, lambda: Display().schema(answer))
