from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, insert, or_, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.sql.elements import ColumnElement

from deepanalyze.audit.records import Entry, Extend, Mark, MarkName, Record, Renew, Sign, Wanted
from deepanalyze.store.database import Database
from deepanalyze.store.models import (
    audit_keys,
    audit_marks,
    audit_records,
    data_sources,
    files,
    threads,
    users,
)

PRUNED_AT_ONCE = 5_000
_ENTRY = tuple(field.name for field in fields(Entry))

# Made once: every change runs them.
_INSERT = insert(audit_records)
_PUT = upsert(audit_marks)
_PUT = _PUT.on_conflict_do_update(
    index_elements=["name"], set_={name: _PUT.excluded[name] for name in ("sequence", "mac", "signature")}
)
_HEAD = select(select(func.max(audit_records.c.sequence)).scalar_subquery(), audit_marks).select_from(
    select(1).subquery().outerjoin(audit_marks, audit_marks.c.name == "head")
)
_ANYTHING = select(
    or_(*(exists(select(1).select_from(table)) for table in (users, data_sources, threads, files)))
)


class StoredAudit:
    """Implements `deepanalyze.audit.AuditRepository`. Triggers refuse to change records, and to delete those behind the
    checkpoint.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, extend: Extend) -> None:
        await self._database.write(lambda connection: append(connection, extend))

    async def make_room(self) -> None:
        await asyncio.to_thread(self._database.reserve.give_up)

    async def mark(self, name: MarkName) -> Mark | None:
        return await self._database.read(lambda connection: _mark(connection, name))

    async def is_expected(self) -> bool:
        return bool(await self._database.read(lambda c: c.scalar(_ANYTHING)))

    async def keys(self) -> Sequence[str]:
        query = select(audit_keys.c.sealed).order_by(audit_keys.c.number)
        return await self._database.read(lambda c: c.scalars(query).all())

    async def renew(self, keys: Sequence[str], renew: Renew) -> None:
        await self._database.write(lambda connection: _renew(connection, keys, renew))

    async def after(self, sequence: int, limit: int) -> Sequence[Record]:
        table = audit_records
        query = select(table).where(table.c.sequence > sequence).order_by(table.c.sequence).limit(limit)
        return await self._database.read(lambda c: [_record(row) for row in c.execute(query)])

    async def find(self, wanted: Wanted, *, before: int | None, limit: int) -> Sequence[Record]:
        query = select(audit_records).where(*_conditions(wanted, before))
        query = query.order_by(audit_records.c.sequence.desc()).limit(limit)
        return await self._database.read(lambda c: [_record(row) for row in c.execute(query)])

    async def prune(self, before_ms: int, sign: Sign) -> int:
        return await self._database.write(lambda connection: _prune(connection, before_ms, sign))


def append(connection: Connection, extend: Extend) -> None:
    """In a transaction that holds the write lock: what it reads as the head stays the head until it commits."""
    records, head = extend(_head(connection))
    if records:
        connection.execute(_INSERT, [_values(record) for record in records])
        _put(connection, head)


def _renew(connection: Connection, keys: Sequence[str], renew: Renew) -> None:
    connection.execute(delete(audit_keys))
    if keys:
        connection.execute(
            insert(audit_keys), [{"number": n, "sealed": key} for n, key in enumerate(keys, 1)]
        )
    for row in connection.execute(select(audit_marks)).all():
        _put(connection, renew(Mark(**row._asdict())))


def _prune(connection: Connection, before_ms: int, sign: Sign) -> int:
    """The checkpoint first: the triggers let go of what it covers only."""
    sequence = audit_records.c.sequence
    oldest, newest = connection.execute(select(func.min(sequence), func.max(sequence))).one()
    if oldest is None:
        return 0
    kept = connection.scalar(select(func.min(sequence)).where(audit_records.c.time_ms >= before_ms))
    first_kept = min(newest if kept is None else kept, oldest + PRUNED_AT_ONCE)
    query = select(audit_records).where(sequence < first_kept).order_by(sequence.desc()).limit(1)
    last = connection.execute(query).one_or_none()
    if last is None:
        return 0
    _put(connection, sign("checkpoint", last.sequence, last.mac))
    return connection.execute(delete(audit_records).where(sequence <= last.sequence)).rowcount


def _head(connection: Connection) -> Mark | None:
    """Where the marks were tampered with, writing goes on behind all that is there, and verification tells."""
    newest, *values = connection.execute(_HEAD).one()
    head = None if values[0] is None else Mark(*values)
    if newest is None:
        return head
    if newest > (head.sequence if head else 0):
        return Mark("head", newest, "", "")
    return head


def _mark(connection: Connection, name: MarkName) -> Mark | None:
    row = connection.execute(select(audit_marks).where(audit_marks.c.name == name)).one_or_none()
    return None if row is None else Mark(**row._asdict())


def _put(connection: Connection, mark: Mark) -> None:
    connection.execute(_PUT, asdict(mark))


def _conditions(wanted: Wanted, before: int | None) -> list[ColumnElement[bool]]:
    columns = audit_records.c
    conditions = [
        columns[name] == value
        for name in ("user_id", "source_id", "action", "outcome")
        if (value := getattr(wanted, name)) is not None
    ]
    if wanted.object_id is not None:
        conditions.append(or_(columns.object_id == wanted.object_id, columns.source_id == wanted.object_id))
    if before is not None:
        conditions.append(columns.sequence < before)
    if wanted.since_ms is not None:
        conditions.append(columns.time_ms >= wanted.since_ms)
    if wanted.until_ms is not None:
        conditions.append(columns.time_ms < wanted.until_ms)
    return conditions


def _values(record: Record) -> dict[str, Any]:
    return {"sequence": record.sequence, "mac": record.mac, **asdict(record.entry)}


def _record(row: Row[Any]) -> Record:
    values = row._mapping
    return Record(values["sequence"], Entry(**{name: values[name] for name in _ENTRY}), values["mac"])
