"""PostgreSQL and Azurite together, in one directory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deepanalyze.devservices.azurite import Azurite, open_azurite
from deepanalyze.devservices.postgres import PostgresServer, open_postgres
from deepanalyze.devservices.state import Directory, open_directory


@dataclass(frozen=True, slots=True)
class Services:
    postgres: PostgresServer
    azurite: Azurite


@asynccontextmanager
async def open_services(path: Path, *, durable: bool = True) -> AsyncIterator[Services]:
    """Starts both in parallel and stops both at the end.

    What they hold, their passwords and (where free) their ports are those of the last run in the same directory.
    Raises StartupError in words for the person at the command line.
    """
    async with open_directory(path) as directory, AsyncExitStack() as stack:
        yield await _open_both(stack, directory, durable)


async def _open_both(stack: AsyncExitStack, directory: Directory, durable: bool) -> Services:
    """Whatever was opened is closed with the stack, also when the other one fails."""
    postgres = asyncio.ensure_future(stack.enter_async_context(open_postgres(directory, durable=durable)))
    azurite = asyncio.ensure_future(stack.enter_async_context(open_azurite(directory)))
    try:
        return Services(await postgres, await azurite)
    except BaseException:
        for opening in (postgres, azurite):
            opening.cancel()
        await asyncio.gather(postgres, azurite, return_exceptions=True)
        raise
