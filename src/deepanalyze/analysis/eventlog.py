"""The events of one thread while analyses of it are under way: numbered, told to followers, stored in batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import structlog

from deepanalyze.analysis.eventcodec import records_of
from deepanalyze.analysis.events import Event, Failed, Finished, Numbered
from deepanalyze.analysis.records import EventRecord, ThreadRepository
from deepanalyze.errors import DeepAnalyzeError

FLUSH_S = 0.5

log = structlog.get_logger()


class EventLog:
    """Several analyses of a thread (one running, others queued) write into it; numbers go on from the stored ones."""

    def __init__(self, thread_id: str, repository: ThreadRepository, *, last: int) -> None:
        self.last = last
        self.writing = asyncio.Lock()
        self._closed = False
        self._thread_id = thread_id
        self._repository = repository
        self._events: list[Numbered] = []
        self._visible = 0
        self._saved = 0
        self._holding = False
        self._changed = asyncio.Event()
        self._flushing = asyncio.create_task(self._flush_regularly())

    async def close(self) -> None:
        async with self.writing:  # a write that is under way is not broken off
            self._flushing.cancel()
        self._closed = True
        self._show()

    def append(self, analysis_id: str, event: Event) -> Numbered:
        self.last += 1
        numbered = Numbered(self.last, analysis_id, event)
        self._events.append(numbered)
        if not self._holding:
            self._show()
        return numbered

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is appended inside is told to followers at the end only: first stored, then told."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
            self._show()

    def unsaved(self) -> list[EventRecord]:
        """Ask while holding `writing`, and call `saved` once they are."""
        return records_of(self._thread_id, self._events[self._saved :])

    def saved(self, up_to: int) -> None:
        """Everything up to the event of that number is stored."""
        first = self._events[0].n if self._events else 0
        self._saved = max(self._saved, up_to - first + 1)

    def replace_last(self, event: Event) -> None:
        last = self._events[-1]
        self._events[-1] = Numbered(last.n, last.analysis_id, event)

    async def flush(self) -> None:
        async with self.writing:
            if records := self.unsaved():
                await self._repository.add_events(records)
                self.saved(records[-1].n)

    async def _flush_regularly(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush()
            except (OSError, DeepAnalyzeError) as error:
                log.warning("events could not be stored yet", thread_id=self._thread_id, error=str(error))

    async def follow(self, after: int, analysis_id: str | None = None) -> AsyncGenerator[Numbered, None]:
        """Those numbered above `after`; of one analysis to its end, else until nothing more can come."""
        position = 0
        while True:
            while position < self._visible:
                numbered = self._events[position]
                position += 1
                if numbered.n <= after or analysis_id not in (None, numbered.analysis_id):
                    continue
                yield numbered
                if analysis_id is not None and isinstance(numbered.event, Finished | Failed):
                    return
            if self._closed:
                return
            await self._changed.wait()

    def _show(self) -> None:
        self._visible = len(self._events)
        self._changed.set()
        self._changed = asyncio.Event()
