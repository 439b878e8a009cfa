"""Configured sources kept in memory: the default of the library."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from deepanalyze.datasources.repository import SourceStatus, StoredSource
from deepanalyze.errors import AlreadyExists, NotFound, Stale


class InMemoryRepository:
    def __init__(self) -> None:
        self._sources: dict[str, StoredSource] = {}

    async def list(self) -> Sequence[StoredSource]:
        return list(self._sources.values())

    async def add(self, source: StoredSource) -> None:
        taken = {label for known in self._sources.values() for label in (known.id, known.name)}
        for label in (source.id, source.name):
            if label in taken:
                raise AlreadyExists(f"a data source with the name or id {label!r} exists already")
        self._sources[source.id] = source

    async def update(self, source: StoredSource, *, expected_version: int) -> None:
        known = self._known(source.id)
        if known.version != expected_version:
            raise Stale(f"the data source {known.name!r} was changed meanwhile")
        self._sources[source.id] = source

    async def set_status(self, source_id: str, status: SourceStatus, tested_at: int) -> None:
        known = self._known(source_id)
        self._sources[source_id] = dataclasses.replace(known, status=status, last_tested_at=tested_at)

    async def delete(self, source_id: str) -> bool:
        return self._sources.pop(source_id, None) is not None

    def _known(self, source_id: str) -> StoredSource:
        if source_id not in self._sources:
            raise NotFound(f"there is no data source {source_id!r}")
        return self._sources[source_id]
