"""What the trail keeps of an SQL statement."""

from __future__ import annotations

from typing import Any, Literal

import postgast

from deepanalyze.audit.chain import Chain

StatementMode = Literal["fingerprint", "full", "none"]

_MAX_PARSED_BYTES = 4_000  # longer texts could be nested so deep that parsing them ends the process
_MAX_TEXT = 10_000


def statement_details(sql: str, mode: StatementMode, chain: Chain) -> dict[str, Any]:
    """A fingerprint is the same for statements that differ only in their constants; what cannot be parsed has a keyed
    digest of its text in its place.
    """
    if mode == "none":
        return {}
    if mode == "full":
        return {"statement": sql[:_MAX_TEXT]}
    fingerprint = _fingerprint(sql)
    return {"fingerprint": fingerprint} if fingerprint else {"text_digest": chain.keyed_digest(sql)}


def _fingerprint(sql: str) -> str | None:
    if len(sql.encode(errors="replace")) > _MAX_PARSED_BYTES:
        return None
    try:
        return str(postgast.fingerprint(sql).hex)
    except (postgast.PgQueryError, UnicodeError, ValueError):
        return None
