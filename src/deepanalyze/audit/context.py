"""On whose behalf something is done: bound once at the edge, known wherever a deed is noted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from deepanalyze.audit.records import Action, Entry, ObjectType, Outcome
from deepanalyze.audit.trail import AuditTrail
from deepanalyze.logging.redaction import redact_event

_MAX_TEXT = 512
_MAX_DETAILS = 16_000

_origin: ContextVar[Origin | None] = ContextVar("audit_origin", default=None)


@dataclass(slots=True)
class Origin:
    """
    Args:
        who: the ids of the user and of the API key, as far as they are known by now.
    """

    trail: AuditTrail
    request_id: str | None = None
    client_address: str | None = None
    who: Callable[[], tuple[str | None, str | None]] = lambda: (None, None)
    told: bool = False  # whether something that did not go well was noted
    _pending: list[asyncio.Future[None]] | None = field(default_factory=list)

    async def settle(self) -> None:
        """Waits until the changes that were noted so far, and all before them, are durable; called once, before the
        answer. Raises InternalError when they cannot be written. For what was only read nobody waits: it is written
        soon, and tried again while that fails.
        """
        pending, self._pending = self._pending or [], None
        for future in pending:
            await asyncio.shield(future)

    def entry(
        self,
        action: Action,
        outcome: Outcome = "ok",
        *,
        object_type: ObjectType | None = None,
        object_id: str | None = None,
        source_id: str | None = None,
        code: str | None = None,
        duration_ms: float | None = None,
        sql: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Entry:
        """As of now. Never give it a secret or a file's content."""
        told = dict(details or {})
        if sql is not None:
            told |= self.trail.statement(sql)
        user_id, key_id = self.who()
        return Entry(
            time_ms=self.trail.now_ms(),
            action=action,
            outcome=outcome,
            request_id=_plain(self.request_id),
            user_id=user_id,
            key_id=key_id,
            client_address=_plain(self.client_address),
            source_id=_plain(source_id),
            code=code,
            duration_ms=duration_ms,
            details=_as_json(told),
            object_type=object_type,
            object_id=_plain(object_id),
        )

    def add(self, entry: Entry, *, change: bool) -> None:
        if entry.outcome != "ok":
            self.told = True
        future = self.trail.append(entry, at_once=change)
        if change and self._pending is not None:
            self._pending.append(future)


def current_origin() -> Origin | None:
    return _origin.get()


@contextmanager
def bound(origin: Origin) -> Iterator[None]:
    """What is noted inside, and in the tasks that are begun there, comes from this origin."""
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)


def note(action: Action, outcome: Outcome = "ok", *, change: bool = False, **told: Any) -> None:
    """What `Origin.entry` takes. Outside of any origin (a library's use, a test) nothing is noted."""
    if (origin := _origin.get()) is not None:
        origin.add(origin.entry(action, outcome, **told), change=change)


def _as_json(details: Mapping[str, Any]) -> str:
    """Redacted as a log record would be, and never so large that it fills the trail."""
    short = {
        name: value[:_MAX_TEXT] if isinstance(value, str) and name != "statement" else value
        for name, value in details.items()
        if value is not None
    }
    text = json.dumps(redact_event(short), default=str)
    return text if len(text) <= _MAX_DETAILS else json.dumps({"left_out": "the details were too large"})


def _plain(text: str | None) -> str | None:
    """What a database can keep: no halves of characters."""
    return None if text is None else text.encode(errors="replace").decode()[:_MAX_TEXT]
