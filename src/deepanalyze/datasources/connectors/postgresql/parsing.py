"""From a text to PostgreSQL's own parse tree, without what would hold the process up or end it."""

from __future__ import annotations

import postgast
from google.protobuf.message import DecodeError

from deepanalyze.errors import InvalidRequest, QueryFailed

MAX_SQL_BYTES = 100_000  # beyond it, hostile texts hold the parser for seconds
MAX_DEPTH = 4_000  # of tokens; some 20,000 overflow the stack of a thread
_HARMLESS_BYTES = 4_000


def parse(sql: str, source: str) -> tuple[postgast.ParseResult, bytes]:
    """The tree, and the text in the bytes that its positions count. Raises InvalidRequest, QueryFailed (42601)."""
    try:
        encoded = sql.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("the query holds characters that are not valid Unicode", param="query") from None
    if b"\x00" in encoded:
        raise InvalidRequest("the query holds a NUL character", param="query")
    if len(encoded) > MAX_SQL_BYTES:
        raise InvalidRequest(
            f"the query has {len(encoded)} bytes, the limit is {MAX_SQL_BYTES}", param="query"
        )
    try:
        if len(encoded) > _HARMLESS_BYTES and _depth(sql) > MAX_DEPTH:
            raise _too_deep()
        return postgast.parse(sql), encoded
    except postgast.PgQueryError as error:
        details = {
            "sqlstate": "42601",
            "message": error.message,
            "detail": None,
            "hint": None,
            "position": error.cursorpos or None,  # in characters, as the server counts
        }
        raise QueryFailed(
            f"source {source!r}: the query failed (42601): {error.message}", param="query", details=[details]
        ) from None
    except (DecodeError, RecursionError):
        raise _too_deep() from None


def _depth(sql: str) -> int:
    """No less than how deep the tree of what chains to the left (`1+1+…`, `a::b::…`) will be, where that is much.

    The parser itself bounds all other nesting, but follows such chains by recursion in C, which would end the process.
    """
    tokens = postgast.pg_query_pb2.Token
    opening, closing = {tokens.ASCII_40, tokens.ASCII_91}, {tokens.ASCII_41, tokens.ASCII_93}
    flat = {tokens.ASCII_44, tokens.AND, tokens.OR, tokens.WHEN}
    outer: list[tuple[int, int, int]] = []
    length = below = deepest = 0  # of this chain; of the brackets in it; of all chains between these brackets
    for token in postgast.scan(sql).tokens:
        if token.token in opening:
            outer.append((length, below, deepest))
            length = below = deepest = 0
        elif token.token in closing and outer:
            inside = max(deepest, length + below)
            length, below, deepest = outer.pop()
            below = max(below, inside)
        elif token.token in flat:
            deepest = max(deepest, length + below)
            length = below = 0
        else:
            length += 1
    return max(deepest, length + below)


def _too_deep() -> InvalidRequest:
    return InvalidRequest("the query is nested too deeply; split it with WITH", param="query")
