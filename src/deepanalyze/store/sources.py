from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from deepanalyze.datasources.repository import SourceStatus, StoredSource
from deepanalyze.errors import AlreadyExists, NotFound, Stale
from deepanalyze.store.changes import commit_change
from deepanalyze.store.database import Database
from deepanalyze.store.failures import already_exists, check_owner
from deepanalyze.store.found_keys import FoundKeys
from deepanalyze.store.granting import forget_source
from deepanalyze.store.models import data_sources


class StoredSources:
    """Implements `deepanalyze.datasources.repository.ConfigRepository`."""

    def __init__(self, database: Database, found_keys: FoundKeys) -> None:
        self._database = database
        self._found_keys = found_keys

    async def list(self) -> Sequence[StoredSource]:
        query = select(data_sources).order_by(data_sources.c.created_at, data_sources.c.id)
        return await self._database.read(lambda c: [_source(row) for row in c.execute(query)])

    async def add(self, source: StoredSource) -> None:
        def work(connection: Connection) -> None:
            check_owner(self._database.users_gone, source.created_by)
            _check_free(connection, source, known=False)
            self._take_grants(connection, source.id)  # granted while the one before was being deleted
            with already_exists(f"a data source {source.name!r} ({source.id})", param="name"):
                connection.execute(insert(data_sources).values(_values(source)))

        await commit_change(self._database, work)

    async def update(self, source: StoredSource, *, expected_version: int) -> None:
        change = (
            update(data_sources)
            .where(data_sources.c.id == source.id, data_sources.c.version == expected_version)
            .values(_values(source))
        )

        def work(connection: Connection) -> None:
            _check_free(connection, source, known=True)
            if connection.execute(change).rowcount == 0:
                raise _why_not_updated(connection, source, expected_version)

        await commit_change(self._database, work)

    async def set_status(self, source_id: str, status: SourceStatus, tested_at: int) -> None:
        change = (
            update(data_sources)
            .where(data_sources.c.id == source_id)
            .values(status=status, last_tested_at=tested_at)
        )
        await self._database.write(lambda c: c.execute(change))

    async def delete(self, source_id: str) -> bool:
        """With the grants and the narrowings of keys that name it."""

        def work(connection: Connection) -> bool:
            self._take_grants(connection, source_id)
            removal = delete(data_sources).where(data_sources.c.id == source_id)
            return connection.execute(removal).rowcount > 0

        return await commit_change(self._database, work)

    def _take_grants(self, connection: Connection, source_id: str) -> None:
        if forget_source(connection, source_id):
            self._database.when_ended(self._found_keys.forget)


def _check_free(connection: Connection, source: StoredSource, *, known: bool) -> None:
    """Ids and names share one space, because the API takes either; no constraint spans two columns' values."""
    both = (source.id, source.name)
    others = select(data_sources.c.id, data_sources.c.name).where(
        or_(data_sources.c.id.in_(both), data_sources.c.name.in_(both))
    )
    for other in connection.execute(others):
        if known and other.id == source.id:
            continue
        if source.name in (other.id, other.name):
            raise AlreadyExists(f"a data source named {source.name!r} already exists", param="name")
        raise AlreadyExists(f"a data source with the id {source.id!r} already exists", param="id")


def _why_not_updated(connection: Connection, source: StoredSource, expected: int) -> NotFound | Stale:
    query = select(data_sources.c.version).where(data_sources.c.id == source.id)
    version = connection.execute(query).scalar_one_or_none()
    if version is None:
        return NotFound(f"the data source {source.name!r} is gone")
    return Stale(
        f"the data source {source.name!r} was changed meanwhile (version {version}, not {expected}); "
        "read it again and repeat the change"
    )


def _values(source: StoredSource) -> dict[str, Any]:
    values = asdict(source)
    for name in ("config", "secrets", "metadata"):
        values[name] = dict(values[name])
    return values


def _source(row: Row[Any]) -> StoredSource:
    return StoredSource(**row._mapping)
