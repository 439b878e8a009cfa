"""Names that a server knows, for the shell's completion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import typer

from deepanalyze.cli.client.where import Where

DEADLINE_S = 2  # longer, and whoever typed goes on by hand


def names_of(collection: str) -> Callable[[typer.Context, str], list[str]]:
    """Completes with the names in a collection of the API, where a server is named. A data directory is not opened for
    this: that takes its lock. Whatever is wrong, there is nothing to complete: the command itself says what it is.
    """

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        import asyncio

        from deepanalyze.errors import DeepAnalyzeError

        where = Where(**{field.name: ctx.params.get(field.name) for field in fields(Where)})
        try:
            names = asyncio.run(_names(where, collection)) if where.url() else []
        except (DeepAnalyzeError, TimeoutError):
            names = []
        return [name for name in names if name.startswith(incomplete)]

    return complete


async def _names(where: Where, collection: str) -> list[str]:
    import asyncio

    from deepanalyze.cli.client.asker import Asker
    from deepanalyze.cli.client.door import opened

    async with asyncio.timeout(DEADLINE_S), opened(where) as client:
        return [item["name"] for item in await Asker(client).all(collection)]
