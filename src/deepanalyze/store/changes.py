"""Changes that the audit trail tells of: both are in the store, or neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from deepanalyze.audit import batch_of_change
from deepanalyze.store.audit import append
from deepanalyze.store.database import Database

T = TypeVar("T")


async def commit_change(database: Database, work: Callable[[Connection], T]) -> T:
    """As `database.write`, and the record of the change under way is written in the same transaction."""
    batch = batch_of_change()
    if batch is None:
        return await database.write(work)

    def both(connection: Connection) -> T:
        result = work(connection)
        append(connection, batch.extend)
        return result

    return await database.write(both, around=batch)
