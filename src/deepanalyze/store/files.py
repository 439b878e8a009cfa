from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select

from deepanalyze.analysis.records import UploadedFile
from deepanalyze.store.changes import commit_change
from deepanalyze.store.database import Database
from deepanalyze.store.failures import already_exists, check_owner
from deepanalyze.store.models import files
from deepanalyze.store.paging import older_than


class StoredFiles:
    """Implements `deepanalyze.analysis.records.FileRepository`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_file(self, file: UploadedFile) -> None:
        def work(connection: Connection) -> None:
            check_owner(self._database.users_gone, file.owner_id)
            with already_exists(f"the file {file.id!r}"):
                connection.execute(insert(files).values(asdict(file)))

        await commit_change(self._database, work)

    async def get_file(self, file_id: str) -> UploadedFile | None:
        query = select(files).where(files.c.id == file_id)
        return await self._database.read(
            lambda c: UploadedFile(**row._mapping) if (row := c.execute(query).one_or_none()) else None
        )

    async def list_files(
        self,
        owner_id: str,
        *,
        purpose: str | None = None,
        limit: int,
        before: tuple[int, str] | None = None,
    ) -> Sequence[UploadedFile]:
        query = (
            select(files)
            .where(files.c.owner_id == owner_id, *older_than(files, before))
            .order_by(files.c.created_at.desc(), files.c.id.desc())
            .limit(limit)
        )
        if purpose is not None:
            query = query.where(files.c.purpose == purpose)
        return await self._database.read(lambda c: [UploadedFile(**row._mapping) for row in c.execute(query)])

    async def delete_file(self, file_id: str) -> bool:
        removal = delete(files).where(files.c.id == file_id)
        return await commit_change(self._database, lambda c: c.execute(removal).rowcount > 0)

    async def all_files(self) -> Sequence[UploadedFile]:
        query = select(files)
        return await self._database.read(lambda c: [UploadedFile(**row._mapping) for row in c.execute(query)])
