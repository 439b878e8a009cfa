"""Lists as every route answers them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query

from deepanalyze.errors import InvalidRequest

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=1000, description="most entries of one page")]
Cursor = Annotated[
    str | None,
    Query(max_length=4096, description="`next_cursor` of the page before; opaque", examples=[None]),
]


def page(data: Sequence[Any], next_cursor: str | None = None) -> dict[str, Any]:
    return {
        "object": "list",
        "data": list(data),
        "has_more": next_cursor is not None,
        "next_cursor": next_cursor,
    }


def cut(
    items: Sequence[T], key: Callable[[T], str], limit: int, cursor: str | None
) -> tuple[list[T], str | None]:
    """One page of what is whole in memory and sorted by `key`, and the cursor of the next."""
    after = None if cursor is None else _decode(cursor)
    following = [item for item in items if after is None or key(item) > after]
    more = len(following) > limit
    return following[:limit], _encode(key(following[limit - 1])) if more else None


def to_cursor(key: str) -> str:
    """Of what is not whole in memory: the key of the last entry of a page."""
    return _encode(key)


def from_cursor(cursor: str, read: Callable[[str], T]) -> T:
    """Raises InvalidRequest for what `to_cursor` did not make, or `read` cannot read."""
    try:
        return read(_decode(cursor))
    except ValueError:
        raise InvalidRequest("cursor is not one that this server made", param="cursor") from None


def _encode(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode(errors="surrogatepass")).decode()


def _decode(cursor: str) -> str:
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode(errors="surrogatepass")
    except (UnicodeError, binascii.Error, ValueError):
        raise InvalidRequest("cursor is not one that this server made", param="cursor") from None
