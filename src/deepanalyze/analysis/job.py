"""One analysis as a job: waits for its turn in the thread and on the server, runs, and is stored before anybody is told
its end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from deepanalyze.analysis.eventcodec import error_fields, finished_fields
from deepanalyze.analysis.eventlog import EventLog
from deepanalyze.analysis.events import Event, Failed, Finished, Numbered, Status, Text
from deepanalyze.analysis.history import continued
from deepanalyze.analysis.loop import Analyst
from deepanalyze.analysis.records import (
    AnalysisRecord,
    AnalysisStatus,
    MessageRecord,
    ThreadRecord,
    ThreadRepository,
)
from deepanalyze.analysis.request import AnalysisRequest
from deepanalyze.analysis.threads import Threads
from deepanalyze.errors import Cancelled, DeepAnalyzeError, InternalError
from deepanalyze.fairness import FairSlots
from deepanalyze.telemetry import Telemetry

_USE_S = 60  # of a thread, while an analysis runs in it

UNFOLLOWED_S = 5.0
"""How long a job that is not in the background waits for its first follower."""

CLIENT_GONE = "the client went away before the answer was complete"
SERVER_STOPPED = "the server was stopped during this analysis; ask again"

log = structlog.get_logger()


@dataclass(slots=True)
class ThreadLine:
    """The jobs of one thread: the one that holds `turn` runs, the others wait in order."""

    log: EventLog
    jobs: list[Job] = field(default_factory=list)
    followers: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Tools:
    """What every job works with."""

    analyst: Analyst
    threads: Threads
    repository: ThreadRepository
    slots: FairSlots
    telemetry: Telemetry
    clock: Callable[[], float] = time.time


class Job:
    def __init__(
        self,
        record: AnalysisRecord,
        request: AnalysisRequest,
        thread: ThreadRecord,
        line: ThreadLine,
        tools: Tools,
    ) -> None:
        self.id = record.id
        self.thread_id = thread.id
        self.user_id = thread.owner_id
        self.created = record.created_at
        self.model = record.model
        self.background = request.background
        self.done = False
        self._request = request
        self._thread = thread
        self._line = line
        self._tools = tools
        self._followers = 0
        self._task: asyncio.Task[None] | None = None
        self._cancelled_because: str | None = None
        self._begun = False
        self._used_at = float(record.created_at)
        self._storing = False
        self._text: list[str] = []
        self._next_message = 0

    # --- for whoever asked --------------------------------------------------------------------------------------------

    async def events(self, after: int = 0) -> AsyncGenerator[Numbered, None]:
        """All that happens in it, from its beginning. When its last follower leaves, it is cancelled, unless it runs in
        the background.
        """
        self._followers += 1
        try:
            async with aclosing(self._line.log.follow(after, self.id)) as events:
                async for numbered in events:
                    yield numbered
        finally:
            self._followers -= 1
            self.cancel_if_unfollowed()

    def cancel(self, because: str = "the analysis was cancelled") -> bool:
        """Ends it within a second; its last event tells so. False when it is over, or about to be."""
        if self._task is None or self._storing or self._cancelled_because is not None:
            return False
        self._cancelled_because = because
        if self._begun:
            self._task.cancel()
        # Otherwise `run` finds the reason: a task that is cancelled before its first step never takes it.
        return True

    def cancel_if_unfollowed(self) -> None:
        if not (self.background or self._followers or self._line.followers):
            self.cancel(CLIENT_GONE)

    async def wait(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])

    # --- for its thread's line ----------------------------------------------------------------------------------------

    def begin(self, task: asyncio.Task[None]) -> None:
        self._task = task
        asyncio.get_running_loop().call_later(UNFOLLOWED_S, self.cancel_if_unfollowed)

    async def run(self) -> None:
        self._begun = True
        structlog.contextvars.bind_contextvars(thread_id=self.thread_id, analysis_id=self.id)
        if self._cancelled_because is not None:
            await self._store(self._failed_because_cancelled())
            return
        async with AsyncExitStack() as held:
            try:
                await self._wait_for_turn(held)
            except asyncio.CancelledError:
                await self._store(self._failed_because_cancelled())
                return
            await self._analyse_and_store()

    async def _wait_for_turn(self, held: AsyncExitStack) -> None:
        """In the thread first, so that who waits there keeps no slot from others."""
        if self._line.turn.locked():
            self._tell(Status("queued behind another analysis of this thread"))
        await held.enter_async_context(self._line.turn)
        slots = self._tools.slots
        if not slots.free_for(self.user_id):
            self._tell(Status("queued until another analysis ends; users are served in turn"))
        await held.enter_async_context(slots.slot(self.user_id))

    async def _analyse_and_store(self) -> None:
        failed: Failed | None = None
        try:
            await self._analyse()
        except asyncio.CancelledError:
            failed = self._failed_because_cancelled()
        except DeepAnalyzeError as error:
            failed = Failed(error)
        except Exception:
            log.exception("analysis failed")
            failed = Failed(InternalError("something went wrong in DeepAnalyze; its log has the details"))
        if not self._storing:
            await self._store(failed or Failed(InternalError("the analysis ended without an answer")))

    async def _analyse(self) -> None:
        request = await self._continued()
        workspace = self._tools.threads.workspace(self.thread_id)
        async with aclosing(self._tools.analyst.run(request, self._thread, workspace)) as events:
            async for event in events:
                await self._use_thread()
                if isinstance(event, Finished):
                    await self._store(event)
                else:
                    self._tell(event)

    async def _use_thread(self) -> None:
        """So that it does not expire while something happens in it."""
        now = self._tools.clock()
        if now >= self._used_at + _USE_S:
            self._used_at = now
            await self._tools.threads.touch(self.thread_id)

    async def _continued(self) -> AnalysisRequest:
        """The request with the thread's whole conversation; what is new of it is stored."""
        repository = self._tools.repository
        await repository.set_analysis_status(self.id, "running")
        stored = await repository.list_messages(self.thread_id)
        talk = continued(stored, self._request.turns)
        self._next_message = stored[-1].seq + 1 if stored else 1
        messages = [self._message(turn.role, turn.content) for turn in talk.new]
        await repository.add_messages(messages)
        return replace(self._request, turns=talk.turns)

    def _tell(self, event: Event) -> None:
        if isinstance(event, Text):
            self._text.append(event.text)
        self._line.log.append(self.id, event)

    # --- its end ------------------------------------------------------------------------------------------------------

    async def _store(self, last: Finished | Failed) -> None:
        """The answer, its messages and all events first, the last event for its followers then."""
        self._storing = True
        events = self._line.log
        async with events.writing:
            with events.held():
                numbered = events.append(self.id, last)
                try:
                    await self._finish(last)
                    events.saved(numbered.n)
                except Exception:
                    log.exception("answer could not be stored")
                    events.replace_last(Failed(InternalError("the answer could not be stored; ask again")))
        self.done = True
        self._tools.telemetry.analysis_ended(_status(last))
        log.info(
            "analysis ended", status=_status(last), code=getattr(getattr(last, "error", None), "code", None)
        )

    async def _finish(self, last: Finished | Failed) -> None:
        failure = error_fields(last.error) if isinstance(last, Failed) else None
        await self._tools.threads.touch(self.thread_id)
        await self._tools.repository.finish_analysis(
            self.id,
            _status(last),
            int(self._tools.clock()),
            failure,
            self._answer(last),
            self._line.log.unsaved(),
        )

    def _answer(self, last: Finished | Failed) -> list[MessageRecord]:
        text = "".join(self._text)
        if isinstance(last, Failed):
            extra = {"error": error_fields(last.error)}
            return [self._message("assistant", text, extra)] if text else []
        return [self._message("assistant", text, finished_fields(last))]

    def _message(self, role: Any, content: Any, extra: Mapping[str, Any] | None = None) -> MessageRecord:
        record = MessageRecord(
            self.thread_id, self._next_message, role, content, int(self._tools.clock()), self.id, extra or {}
        )
        self._next_message += 1
        return record

    def _failed_because_cancelled(self) -> Failed:
        return Failed(Cancelled(self._cancelled_because or SERVER_STOPPED))


def _status(last: Finished | Failed) -> AnalysisStatus:
    if isinstance(last, Finished):
        return "completed"
    if not isinstance(last.error, Cancelled):
        return "failed"
    return "interrupted" if last.error.message == SERVER_STOPPED else "cancelled"
