"""Values for `$1`, `$2` … written into the text, each as a literal of the type that the server expects there.

COPY takes no parameters, and files, frames and answers are to come from one and the same text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import postgast
import psycopg
from psycopg import sql
from psycopg.types.json import Json

from deepanalyze.errors import InvalidRequest

_JSON_TYPES = frozenset({"json", "jsonb"})


def placeholders(text: str) -> list[tuple[int, int, int]]:
    """Number, first and last byte of each `$n` of the text, in order."""
    encoded = text.encode()
    found = []
    for token in postgast.scan(text).tokens:
        if token.token == postgast.pg_query_pb2.Token.PARAM:
            number = int(encoded[token.start + 1 : token.end])
            found.append((number, token.start, token.end))
    return found


def check_count(found: Sequence[tuple[int, int, int]], params: Sequence[Any], source: str) -> None:
    """Raises InvalidRequest unless there is exactly one value for each number."""
    wanted = max((number for number, _, _ in found), default=0)
    if wanted != len(params) or (found and min(number for number, _, _ in found) < 1):
        raise InvalidRequest(
            f"source {source!r}: the query has {_count(wanted)} ($1, $2 …), and {len(params)} were given in 'params'",
            param="params",
        )


def bound(
    text: str,
    found: Sequence[tuple[int, int, int]],
    params: Sequence[Any],
    types: Sequence[str],
    connection: psycopg.AsyncConnection[Any],
) -> str:
    """The text with literals in it.

    Args:
        types: what the server calls the type of each parameter.
    """
    encoded = text.encode()
    pieces = []
    at = 0
    for number, start, end in found:
        literal = _literal(params[number - 1], types[number - 1], number, connection)
        pieces += [encoded[at:start], f" ({literal})::{types[number - 1]} ".encode()]
        at = end
    return b"".join([*pieces, encoded[at:]]).decode()


def _literal(value: Any, type_name: str, number: int, connection: psycopg.AsyncConnection[Any]) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str) and "\x00" in value:
        raise InvalidRequest(f"the value of ${number} holds a NUL character", param=f"params[{number - 1}]")
    if (type_name in _JSON_TYPES and not isinstance(value, str)) or isinstance(value, Mapping):
        value = Json(value)
    try:
        return sql.Literal(value).as_string(connection)
    except (psycopg.Error, TypeError, ValueError):
        raise InvalidRequest(
            f"the value of ${number} cannot be sent: {type(value).__name__} has no form in SQL",
            param=f"params[{number - 1}]",
        ) from None


def _count(number: int) -> str:
    return "no parameters" if number == 0 else "1 parameter" if number == 1 else f"{number} parameters"
