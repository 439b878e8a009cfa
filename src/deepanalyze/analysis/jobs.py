"""Analyses as jobs of their threads: one at a time in each, users in turn, followed live or later, ended when nobody
listens.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Literal, Self

import structlog

from deepanalyze.accounts import Principal
from deepanalyze.analysis.eventcodec import events_of, records_of
from deepanalyze.analysis.eventlog import EventLog
from deepanalyze.analysis.events import Failed, Numbered
from deepanalyze.analysis.job import SERVER_STOPPED, Job, ThreadLine, Tools
from deepanalyze.analysis.limits import JobLimits
from deepanalyze.analysis.loop import Analyst
from deepanalyze.analysis.records import AnalysisRecord, EventRecord, ThreadRepository
from deepanalyze.analysis.request import AnalysisRequest
from deepanalyze.analysis.threads import Threads
from deepanalyze.audit import changing
from deepanalyze.errors import Cancelled, RateLimited
from deepanalyze.fairness import FairSlots
from deepanalyze.telemetry import Telemetry

_PAGE = 500
_RETRY_AFTER_S = 5.0

log = structlog.get_logger()


class Analyses:
    """Inside `async with` analyses can be started and followed; its end stops those that run."""

    def __init__(
        self,
        analyst: Analyst,
        threads: Threads,
        repository: ThreadRepository,
        *,
        limits: JobLimits | None = None,
        telemetry: Telemetry | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._threads = threads
        self._repository = repository
        self._limits = limits or JobLimits()
        self._clock = clock
        slots = FairSlots(self._limits.max_running, per_user=self._limits.max_running_per_user)
        self._tools = Tools(analyst, threads, repository, slots, telemetry or Telemetry(), clock)
        self._lines: dict[str, ThreadLine] = {}
        self._starting: list[str] = []  # the users of analyses that are not in a line yet
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        if interrupted := await self._repository.interrupt_unfinished(int(self._clock())):
            log.warning("a crash interrupted analyses", analyses=interrupted)
        self._threads.on_delete.insert(0, self._end_all_of)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.on_delete.remove(self._end_all_of)
        await self.stop()

    async def stop(self) -> None:
        """Ends those that run and wait; their last event tells that the server was stopped."""
        await self._end([job for line in self._lines.values() for job in line.jobs], SERVER_STOPPED)

    async def start(self, request: AnalysisRequest) -> Job:
        """Raises NotFound for a thread that is not the caller's, RateLimited when too many of the caller's wait.
        Whatever goes wrong later, the job's events tell.
        """
        user_id = request.principal.user_id
        self._check_queue(user_id)
        self._starting.append(user_id)
        try:
            return await self._started(request)
        finally:
            self._starting.remove(user_id)

    async def _started(self, request: AnalysisRequest) -> Job:
        thread = await self._threads.open(request.principal, request.thread_id)
        record = AnalysisRecord(
            f"chatcmpl-{secrets.token_hex(12)}", thread.id, request.model, "queued", int(self._clock())
        )
        with changing("analyse", "thread", thread.id, analysis_id=record.id, model=request.model):
            await self._repository.add_analysis(record)
        line = await self._line(thread.id)
        job = Job(record, request, thread, line, self._tools)
        line.jobs.append(job)
        job.begin(asyncio.create_task(self._work(job, line)))
        return job

    async def follow(
        self, principal: Principal, thread_id: str, after: int = 0
    ) -> AsyncGenerator[Numbered, None]:
        """What is stored, then what happens, until nothing runs or waits in the thread."""
        await self._threads.get(principal, thread_id)
        # Before the store is read: what ends meanwhile is told by the line alone.
        line = self._lines.get(thread_id)
        last = await self._last_event(thread_id)
        if after > last:  # a crash took numbers away that had not been stored: tell at least how it ended
            after = max(0, last - 1)
        async with aclosing(self._stored(thread_id, after)) as stored:
            async for numbered in stored:
                after = numbered.n
                yield numbered
        if line := line or self._lines.get(thread_id):
            async with aclosing(_live(line, after)) as live:
                async for numbered in live:
                    yield numbered

    async def cancel(self, principal: Principal, thread_id: str) -> bool:
        """Cancels what runs and what waits in the thread, and returns when it has ended. False when nothing did."""
        await self._threads.get(principal, thread_id)
        with changing("cancel", "thread", thread_id) as facts:
            facts["cancelled"] = cancelled = await self._end_all_of(thread_id)
        return cancelled

    def status(self, thread_id: str) -> Literal["idle", "running"]:
        return "running" if thread_id in self._lines else "idle"

    def counts(self) -> dict[str, float]:
        running = self._tools.slots.held
        jobs = sum(len(line.jobs) for line in self._lines.values())
        return {"running": running, "waiting": jobs - running, "max": self._limits.max_running}

    def _check_queue(self, user_id: str) -> None:
        limits = self._limits
        at_once = limits.max_running_per_user + limits.max_queued_per_user
        jobs = (job for line in self._lines.values() for job in line.jobs)
        own = self._starting.count(user_id) + sum(job.user_id == user_id for job in jobs)
        if own >= at_once:
            raise RateLimited(
                f"{own} of your analyses run or wait, and no more than {at_once} may (max_analyses_per_user, "
                "max_queued_analyses); ask again when one has ended, or cancel one",
                retry_after_s=_RETRY_AFTER_S,
            )

    async def _work(self, job: Job, line: ThreadLine) -> None:
        try:
            await job.run()
        finally:
            line.jobs.remove(job)
            if not line.jobs:
                del self._lines[job.thread_id]
                await line.log.close()

    async def _end_all_of(self, thread_id: str) -> bool:
        line = self._lines.get(thread_id)
        return await self._end(list(line.jobs), "the analysis was cancelled") if line else False

    async def _end(self, jobs: list[Job], because: str) -> bool:
        ended = [job.cancel(because) for job in reversed(jobs)]  # the waiting ones first, so that none begins
        for job in jobs:
            await job.wait()
        return any(ended)

    async def _line(self, thread_id: str) -> ThreadLine:
        async with self._opening:
            if thread_id not in self._lines:
                last = await self._settled(thread_id)
                self._lines[thread_id] = ThreadLine(EventLog(thread_id, self._repository, last=last))
            return self._lines[thread_id]

    async def _last_event(self, thread_id: str) -> int:
        async with self._opening:
            line = self._lines.get(thread_id)
            return line.log.last if line else await self._settled(thread_id)

    async def _settled(self, thread_id: str) -> int:
        """Gives analyses that a crash cut off a last event. Returns the number of the thread's last event."""
        last = await self._repository.last_event(thread_id)
        analyses = await self._repository.list_analyses(thread_id)
        cut = {analysis.id for analysis in analyses if analysis.status == "interrupted"}
        if cut:
            cut -= {
                r.analysis_id async for r in self._records(thread_id, 0) if r.type in ("finished", "failed")
            }
        told = [
            Numbered(n, of, Failed(Cancelled(SERVER_STOPPED))) for n, of in enumerate(sorted(cut), last + 1)
        ]
        if told:
            await self._repository.add_events(records_of(thread_id, told))
        return last + len(told)

    async def _stored(self, thread_id: str, after: int) -> AsyncGenerator[Numbered, None]:
        async with aclosing(self._records(thread_id, after)) as records:
            async for record in records:
                for numbered in events_of(record):
                    if numbered.n > after:
                        yield numbered

    async def _records(self, thread_id: str, after: int) -> AsyncGenerator[EventRecord, None]:
        while page := await self._repository.list_events(thread_id, after=after, limit=_PAGE):
            for record in page:
                yield record
            after = page[-1].n


async def _live(line: ThreadLine, after: int) -> AsyncGenerator[Numbered, None]:
    line.followers += 1
    try:
        async with aclosing(line.log.follow(after)) as events:
            async for numbered in events:
                yield numbered
    finally:
        line.followers -= 1
        for job in line.jobs:
            job.cancel_if_unfollowed()
