"""Pages of lists that are sorted by (created_at, id), newest first."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from deepanalyze.errors import InvalidRequest


class Dated(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def created_at(self) -> int: ...


T = TypeVar("T", bound=Dated)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """`next_cursor` is None on the last page."""

    items: Sequence[T]
    next_cursor: str | None = None

    @property
    def has_more(self) -> bool:
        return self.next_cursor is not None


def page(records: Sequence[T], limit: int) -> Page[T]:
    """Makes a page of up to `limit` of the records; the caller asked for one more, to see whether there are more."""
    items = records[:limit]
    return Page(items, _encode(items[-1]) if len(records) > limit else None)


def decode_cursor(cursor: str | None) -> tuple[int, str] | None:
    """The (created_at, id) of the last record of the page before. Raises InvalidRequest."""
    if cursor is None:
        return None
    try:
        created_at, record_id = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (ValueError, TypeError):
        raise _not_ours() from None
    if not isinstance(created_at, int) or not isinstance(record_id, str) or abs(created_at) >= 2**63:
        raise _not_ours()
    return created_at, record_id


def cursor_after(record: Dated) -> str:
    """For a page that begins after this record."""
    return _encode(record)


def _encode(record: Dated) -> str:
    return base64.urlsafe_b64encode(json.dumps([record.created_at, record.id]).encode()).decode()


def _not_ours() -> InvalidRequest:
    return InvalidRequest("cursor is not one that this server made", param="cursor")
