from __future__ import annotations

from sqlalchemy import Table, and_, or_
from sqlalchemy.sql.elements import ColumnElement


def older_than(table: Table, before: tuple[int, str] | None) -> tuple[ColumnElement[bool], ...]:
    """The condition of the next page of a list that is sorted by (created_at, id), newest first."""
    if before is None:
        return ()
    created_at, row_id = before
    same_second = and_(table.c.created_at == created_at, table.c.id < row_id)
    return (or_(table.c.created_at < created_at, same_second),)
