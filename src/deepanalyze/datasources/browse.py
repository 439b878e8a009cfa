"""Pages of what a source holds: as it gives them, where it can, else in the order of their paths, whatever order it
lists them in.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from deepanalyze.datasources.base import DataItem, DataSourceConnector
from deepanalyze.datasources.capabilities import SupportsPages
from deepanalyze.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class BrowsePage:
    items: tuple[DataItem, ...]
    next_cursor: str | None


async def browse(
    connector: DataSourceConnector,
    path: str | None = None,
    *,
    recursive: bool = False,
    limit: int = 100,
    cursor: str | None = None,
) -> BrowsePage:
    """The `limit` items that follow the cursor's. What appears or vanishes between two pages disturbs no other item.
    Memory is bound by `limit`, not by what the source holds.
    """
    if isinstance(connector, SupportsPages):
        return await _by_itself(connector, path, recursive, limit, cursor)
    after = ("", "") if cursor is None else _decode(cursor)
    smallest: list[DataItem] = []
    async for item in connector.iter_items(path or None, recursive=recursive):
        if _place(item) > after:
            smallest.append(item)
            if len(smallest) >= 8 * limit:
                smallest = _first(smallest, limit + 1)
    page = _first(smallest, limit + 1)
    more = len(page) > limit
    return BrowsePage(tuple(page[:limit]), _encode(_place(page[limit - 1])) if more else None)


async def _by_itself(
    connector: SupportsPages, path: str | None, recursive: bool, limit: int, cursor: str | None
) -> BrowsePage:
    after = None if cursor is None else _decode(cursor)[0]
    items, end = await connector.page_items(path or None, recursive=recursive, limit=limit, after=after)
    return BrowsePage(tuple(items), None if end is None else _encode((end, "page")))


def _place(item: DataItem) -> tuple[str, str]:
    return item.path, item.kind  # a blob and a folder may have one path


def _first(items: list[DataItem], count: int) -> list[DataItem]:
    return sorted(items, key=_place)[:count]


def _encode(place: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _decode(cursor: str) -> tuple[str, str]:
    try:
        path, kind = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
        return str(path), str(kind)
    except (ValueError, TypeError):
        raise InvalidRequest("cursor is not one that this server made", param="cursor") from None
