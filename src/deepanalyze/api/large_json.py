"""Answers that may be large, written as JSON beside the event loop and in pieces, so that nobody else has to wait."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.responses import Response

_DEPTH = 5  # how far down lists and objects are taken apart; what lies below is small


async def large_json(value: Mapping[str, Any]) -> Response:
    content = await asyncio.to_thread(_written, value)
    return Response(content, media_type="application/json")


def _written(value: Any) -> bytes:
    return "".join(_pieces(value, _DEPTH)).encode(errors="replace")


def _pieces(value: Any, depth: int) -> Iterator[str]:
    """json's own encoder lets no other thread run before it is done, hence many small calls."""
    if depth and isinstance(value, Mapping):
        for index, (key, item) in enumerate(value.items()):
            yield f"{',' if index else '{'}{json.dumps(str(key), ensure_ascii=False)}:"
            yield from _pieces(item, depth - 1)
        yield "}" if value else "{}"
    elif depth and isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield "," if index else "["
            yield from _pieces(item, depth - 1)
        yield "]" if value else "[]"
    else:
        yield json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
