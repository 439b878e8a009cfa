"""What users and keys hold of a source, for when the source is gone: its id may be given to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, String, cast, select, update

from deepanalyze.store.models import api_keys, users


def forget_source(connection: Connection, source_id: str) -> bool:
    """Takes the source out of all grants and narrowings, and says whether any named it. A narrowing that becomes empty
    admits nothing, not all.
    """
    granted, narrowed = (
        _naming(connection, column, source_id) for column in (users.c.grants, api_keys.c.sources)
    )
    for row in granted:
        left = [grant for grant in row.grants if grant["source_id"] != source_id]
        connection.execute(update(users).where(users.c.id == row.id).values(grants=left))
    for row in narrowed:
        kept = [each for each in row.sources if each != source_id]
        connection.execute(update(api_keys).where(api_keys.c.id == row.id).values(sources=kept))
    return bool(granted or narrowed)


def _naming(connection: Connection, column: Column[Any], source_id: str) -> Sequence[Any]:
    """The rows whose JSON may name it; those with a longer id may come, too."""
    names_it = cast(column, String).contains(source_id, autoescape=True)
    return connection.execute(select(column.table.c.id, column).where(names_it)).all()
