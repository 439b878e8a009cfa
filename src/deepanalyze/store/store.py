"""Opening the store: the database file, its schema and the repositories over it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from deepanalyze.errors import StartupError
from deepanalyze.store.accounts import StoredAccounts
from deepanalyze.store.audit import StoredAudit
from deepanalyze.store.database import Database, make_engine
from deepanalyze.store.failures import reason
from deepanalyze.store.files import StoredFiles
from deepanalyze.store.found_keys import FoundKeys
from deepanalyze.store.reserve import Reserve
from deepanalyze.store.schema import bring_to_head
from deepanalyze.store.sources import StoredSources
from deepanalyze.store.threads import StoredThreads


@dataclass(frozen=True, slots=True)
class Store:
    database: Database
    accounts: StoredAccounts
    sources: StoredSources
    threads: StoredThreads
    files: StoredFiles
    audit: StoredAudit

    async def ping(self) -> bool:
        """Whether it takes all changes: while its reserve is used, only deletions. Raises InternalError when it cannot
        be written.
        """
        await self.database.check()
        return not self.database.reserve.used or await asyncio.to_thread(self.database.reserve.make)


@asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[Store]:
    """Opens the database, making it or bringing it to the newest schema first. Raises StartupError."""
    await asyncio.to_thread(_make_private_file, path)
    engine = make_engine(path)
    database = Database(engine, Reserve(path.with_suffix(".reserve")))
    try:
        await asyncio.to_thread(_prepare, engine, path)
        await asyncio.to_thread(database.reserve.make)
        found_keys = FoundKeys(database)
        yield Store(
            database,
            accounts=StoredAccounts(database, found_keys),
            sources=StoredSources(database, found_keys),
            threads=StoredThreads(database),
            files=StoredFiles(database),
            audit=StoredAudit(database),
        )
    finally:
        await database.close()


def _make_private_file(path: Path) -> None:
    """SQLite would make it, and the files beside it, as readable as the umask allows."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StartupError(f"cannot open the store {path}: {error.strerror}") from error


def _prepare(engine: Engine, path: Path) -> None:
    try:
        with engine.execution_options(writes=True).begin() as connection:
            bring_to_head(connection, path)
    except DBAPIError as error:
        why = reason(error) or str(error.orig)
        raise StartupError(f"cannot open the store {path}: {why}") from error
