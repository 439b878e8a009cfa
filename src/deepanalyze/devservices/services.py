"""PostgreSQL and Azurite together, in one directory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deepanalyze.devservices.azurite import Azurite, open_azurite
from deepanalyze.devservices.postgres import PostgresServer, open_postgres
from deepanalyze.devservices.process import GuardedProcess
from deepanalyze.devservices.state import Directory, open_directory


@dataclass(frozen=True, slots=True)
class Services:
    postgres: PostgresServer
    azurite: Azurite

    async def until_one_ends(self) -> GuardedProcess:
        """Never returns while both run, as they should for as long as the block of `open_services` lasts."""
        processes = {
            asyncio.ensure_future(p.wait()): p for p in (self.postgres.process, self.azurite.process)
        }
        try:
            ended, _ = await asyncio.wait(processes, return_when=asyncio.FIRST_COMPLETED)
            return processes[ended.pop()]
        finally:
            for waiting in processes:
                waiting.cancel()


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
