"""Changes that the audit trail tells of: both are in the store, or neither."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from deepanalyze.audit import batch_of_change, change_frees
from deepanalyze.errors import InternalError
from deepanalyze.store.audit import append
from deepanalyze.store.database import Database
from deepanalyze.store.failures import is_full

T = TypeVar("T")


async def commit_change(database: Database, work: Callable[[Connection], T]) -> T:
    """As `database.write`, and the record of the change under way is written in the same transaction.

    On a full disk what frees something goes on with the reserve; all else is refused until that is there again.
    """
    batch = batch_of_change()
    if batch is None:
        return await database.write(work)

    def both(connection: Connection) -> T:
        result = work(connection)
        append(connection, batch.extend)
        return result

    frees, reserve = change_frees(), database.reserve
    if reserve.used and not await asyncio.to_thread(reserve.make) and not frees:
        raise InternalError("the server's disk is full: delete what is not needed; nothing was changed")
    try:
        return await database.write(both, around=batch)
    except InternalError as error:
        if not (frees and is_full(error) and await asyncio.to_thread(reserve.give_up)):
            raise
    return await database.write(both, around=batch)
