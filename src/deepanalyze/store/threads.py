from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from deepanalyze.analysis.records import (
    AnalysisRecord,
    AnalysisStatus,
    EventRecord,
    MessageRecord,
    ThreadRecord,
)
from deepanalyze.errors import NotFound, QuotaExceeded
from deepanalyze.store import models
from deepanalyze.store.changes import commit_change
from deepanalyze.store.database import Database
from deepanalyze.store.failures import already_exists, check_owner
from deepanalyze.store.paging import older_than

_UNFINISHED = ("queued", "running")


class StoredThreads:
    """Implements `deepanalyze.analysis.records.ThreadRepository`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_thread(self, thread: ThreadRecord, *, at_most: int = 0) -> None:
        of_owner = select(func.count()).where(models.threads.c.owner_id == thread.owner_id)

        def work(connection: Connection) -> None:
            check_owner(self._database.users_gone, thread.owner_id)
            if at_most and (there := connection.execute(of_owner).scalar_one()) >= at_most:
                raise QuotaExceeded(
                    f"you have {there:,} threads, and each user may have {at_most:,} (max_threads_per_user); delete "
                    "threads that you no longer need, name one in `thread_id`, or wait until unused ones expire"
                )
            with already_exists(f"the thread {thread.id!r}"):
                _insert(connection, models.threads, [thread])

        await commit_change(self._database, work)

    async def get_thread(self, thread_id: str) -> ThreadRecord | None:
        query = select(models.threads).where(models.threads.c.id == thread_id)
        return await self._database.read(
            lambda c: ThreadRecord(**row._mapping) if (row := c.execute(query).one_or_none()) else None
        )

    async def list_threads(
        self, owner_id: str, *, limit: int, before: tuple[int, str] | None = None
    ) -> Sequence[ThreadRecord]:
        query = (
            select(models.threads)
            .where(models.threads.c.owner_id == owner_id, *older_than(models.threads, before))
            .order_by(models.threads.c.created_at.desc(), models.threads.c.id.desc())
            .limit(limit)
        )
        return await self._database.read(lambda c: [ThreadRecord(**row._mapping) for row in c.execute(query)])

    async def touch_thread(self, thread_id: str, last_accessed_at: int, expires_at: int) -> None:
        change = (
            update(models.threads)
            .where(models.threads.c.id == thread_id)
            .values(last_accessed_at=last_accessed_at, expires_at=expires_at)
        )
        await self._database.write(lambda c: c.execute(change))

    async def expired_threads(self, now: int) -> Sequence[ThreadRecord]:
        query = (
            select(models.threads)
            .where(models.threads.c.expires_at <= now)
            .order_by(models.threads.c.expires_at)
        )
        return await self._database.read(lambda c: [ThreadRecord(**row._mapping) for row in c.execute(query)])

    async def all_threads(self) -> Sequence[ThreadRecord]:
        query = select(models.threads)
        return await self._database.read(lambda c: [ThreadRecord(**row._mapping) for row in c.execute(query)])

    async def delete_thread(self, thread_id: str) -> bool:
        removal = delete(models.threads).where(models.threads.c.id == thread_id)
        return await commit_change(self._database, lambda c: c.execute(removal).rowcount > 0)

    async def add_messages(self, messages: Sequence[MessageRecord]) -> None:
        await self._add(models.messages, messages, "a message of that thread and number")

    async def list_messages(self, thread_id: str) -> Sequence[MessageRecord]:
        query = (
            select(models.messages)
            .where(models.messages.c.thread_id == thread_id)
            .order_by(models.messages.c.seq)
        )
        return await self._database.read(
            lambda c: [MessageRecord(**row._mapping) for row in c.execute(query)]
        )

    async def add_analysis(self, analysis: AnalysisRecord) -> None:
        await self._add(models.analyses, [analysis], f"the analysis {analysis.id!r}")

    async def get_analysis(self, analysis_id: str) -> AnalysisRecord | None:
        query = select(models.analyses).where(models.analyses.c.id == analysis_id)
        return await self._database.read(
            lambda c: AnalysisRecord(**row._mapping) if (row := c.execute(query).one_or_none()) else None
        )

    async def list_analyses(self, thread_id: str) -> Sequence[AnalysisRecord]:
        query = (
            select(models.analyses)
            .where(models.analyses.c.thread_id == thread_id)
            .order_by(models.analyses.c.created_at, models.analyses.c.id)
        )
        return await self._database.read(
            lambda c: [AnalysisRecord(**row._mapping) for row in c.execute(query)]
        )

    async def set_analysis_status(self, analysis_id: str, status: AnalysisStatus) -> None:
        change = update(models.analyses).where(models.analyses.c.id == analysis_id).values(status=status)
        await self._database.write(lambda c: c.execute(change))

    async def finish_analysis(
        self,
        analysis_id: str,
        status: AnalysisStatus,
        finished_at: int,
        error: Mapping[str, Any] | None,
        messages: Sequence[MessageRecord],
        events: Sequence[EventRecord],
    ) -> None:
        change = (
            update(models.analyses)
            .where(models.analyses.c.id == analysis_id)
            .values(status=status, finished_at=finished_at, error=None if error is None else dict(error))
        )

        def work(connection: Connection) -> None:
            if connection.execute(change).rowcount == 0:
                raise NotFound(f"the analysis {analysis_id!r} is gone")
            _insert(connection, models.messages, messages)
            _insert(connection, models.events, events)

        await self._database.write(work)

    async def interrupt_unfinished(self, finished_at: int) -> int:
        change = (
            update(models.analyses)
            .where(models.analyses.c.status.in_(_UNFINISHED))
            .values(status="interrupted", finished_at=finished_at)
        )
        return await self._database.write(lambda c: c.execute(change).rowcount)

    async def add_events(self, events: Sequence[EventRecord]) -> None:
        await self._add(models.events, events, "an event of that thread and number")

    async def list_events(
        self, thread_id: str, *, after: int = 0, limit: int = 1000
    ) -> Sequence[EventRecord]:
        query = (
            select(models.events)
            .where(models.events.c.thread_id == thread_id, models.events.c.n > after)
            .order_by(models.events.c.n)
            .limit(limit)
        )
        return await self._database.read(lambda c: [EventRecord(**row._mapping) for row in c.execute(query)])

    async def last_event(self, thread_id: str) -> int:
        query = select(func.coalesce(func.max(models.events.c.n), 0)).where(
            models.events.c.thread_id == thread_id
        )
        return await self._database.read(lambda c: c.execute(query).scalar_one())

    async def _add(self, table: Table, records: Sequence[Any], what: str) -> None:
        if not records:
            return

        def work(connection: Connection) -> None:
            with already_exists(what):
                _insert(connection, table, records)

        await commit_change(self._database, work)


def _insert(connection: Connection, table: Table, records: Sequence[Any]) -> None:
    if records:
        connection.execute(insert(table), [asdict(record) for record in records])
