"""The API keys found lately, with their users: every request asks for one, and hardly any changes one."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from deepanalyze.accounts.buckets import Recent
from deepanalyze.accounts.records import ApiKey, User
from deepanalyze.store.database import Database

Found = tuple[ApiKey, User]


class FoundKeys:
    """Holds nothing longer than until the transaction that changes a key or a user has ended: what it changed is in
    force when it is answered. Only keys that exist are kept, so that guesses take no room.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: Recent[str, Found] = Recent()  # by digest
        self._version = 0

    async def find(self, digest: str, read: Callable[[Connection], Found | None]) -> Found | None:
        if (known := self._found.get(digest)) is not None:
            return known
        version = self._version
        found = await self._database.read(read)
        if found is not None and version == self._version:  # else it may have been read before a change
            self._found[digest] = found
        return found

    def forget(self) -> None:
        self._version += 1
        self._found.clear()
