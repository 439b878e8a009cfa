"""A deed from its beginning to its record. The record of a change that the store makes is in that very transaction."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from deepanalyze.audit.batch import Batch
from deepanalyze.audit.context import Origin, bound, current_origin, note
from deepanalyze.audit.records import FREEING, Action, Entry, ObjectType, Outcome
from deepanalyze.audit.trail import AuditTrail
from deepanalyze.errors import DeepAnalyzeError, PermissionDenied

_change_under_way: ContextVar[Deed | None] = ContextVar("audit_change_under_way", default=None)


@dataclass(slots=True)
class Deed:
    """
    Args:
        change: whether an answer waits for the record, and nothing is begun while the trail cannot be written.
        facts: the record's details.
        failed: whether it did not go well although nothing was raised.
    """

    action: Action
    object_type: ObjectType | None = None
    object_id: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    source_id: str | None = None
    sql: str | None = None
    change: bool = True
    failed: bool = False
    error: BaseException | None = None
    duration_ms: float = 0.0
    _began: float = field(default_factory=time.perf_counter)
    _batch: Batch | None = None

    @property
    def outcome(self) -> Outcome:
        """Once it has ended."""
        return _outcome(self.error, failed=self.failed)

    @property
    def frees(self) -> bool:
        """Whether it is tried even while the trail cannot be written: with its own record, from the reserve."""
        return self.action in FREEING

    @contextmanager
    def recorded(self) -> Iterator[dict[str, Any]]:
        """Notes what becomes of the block, with the facts that it puts down. Raises InternalError, before it begins,
        for a change that the trail could not tell of.
        """
        token = _change_under_way.set(self) if self.change else None
        try:
            if self.change and not self.frees and (origin := current_origin()) is not None:
                origin.trail.check()
            yield self.facts
        except BaseException as error:
            self.error = error
            raise
        finally:
            if token is not None:
                _change_under_way.reset(token)
            self._time()
            if self.error is not None or self._batch is None or not self._batch.durable:
                note(**self._told(self.error), change=self.change)

    def batch(self, origin: Origin) -> Batch | None:
        """For the transaction that makes the change; None when one has already told of it."""
        if self._batch is not None and self._batch.durable:
            return None
        self._batch = origin.trail.batch(lambda: self._entry(origin))
        return self._batch

    def _entry(self, origin: Origin) -> Entry:
        """Of a change that is made, whoever went away meanwhile."""
        self._time()
        return origin.entry(**self._told(None))

    def _time(self) -> None:
        self.duration_ms = round((time.perf_counter() - self._began) * 1000, 1)

    def _told(self, error: BaseException | None) -> dict[str, Any]:
        code = error.code if isinstance(error, DeepAnalyzeError) else None
        kind = type(error).__name__ if error is not None and code is None else None
        return {
            "action": self.action,
            "outcome": _outcome(error, failed=self.failed),
            "object_type": self.object_type,
            "object_id": self.object_id,
            "source_id": self.source_id,
            "code": code,
            "duration_ms": self.duration_ms,
            "sql": self.sql,
            "details": {**self.facts, "error": kind},
        }


def _outcome(error: BaseException | None, *, failed: bool) -> Outcome:
    if error is None:
        return "failed" if failed else "ok"
    return "refused" if isinstance(error, PermissionDenied) else "failed"


def changing(
    action: Action, object_type: ObjectType, object_id: str | None = None, **facts: Any
) -> AbstractContextManager[dict[str, Any]]:
    """As `Deed.recorded`, of a change."""
    return Deed(action, object_type, object_id, facts).recorded()


def batch_of_change() -> Batch | None:
    """What the transaction that makes the change under way is to write, if there is one."""
    deed, origin = _change_under_way.get(), current_origin()
    return None if deed is None or origin is None else deed.batch(origin)


def change_frees() -> bool:
    """Whether the change under way may use the room that is kept for it."""
    deed = _change_under_way.get()
    return deed is not None and deed.frees


@asynccontextmanager
async def acting(trail: AuditTrail) -> AsyncIterator[None]:
    """What the server, or a command, does by itself inside is recorded when this ends. Raises InternalError when that
    cannot be.
    """
    origin = Origin(trail)
    with bound(origin):
        yield
    await origin.settle()
