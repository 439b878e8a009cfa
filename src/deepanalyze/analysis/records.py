"""What the store keeps of threads, their messages, analyses and events, and of uploaded files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

AnalysisStatus = Literal["queued", "running", "completed", "failed", "cancelled", "interrupted"]


@dataclass(frozen=True, slots=True)
class ThreadRecord:
    """Times are Unix seconds."""

    id: str  # thread-…
    owner_id: str
    created_at: int
    last_accessed_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class MessageRecord:
    thread_id: str
    seq: int  # from 1 within the thread
    role: Literal["system", "user", "assistant", "execute"]
    content: Any  # text, or content parts
    created_at: int
    analysis_id: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnalysisRecord:
    id: str  # chatcmpl-…
    thread_id: str
    model: str
    status: AnalysisStatus
    created_at: int
    finished_at: int | None = None
    error: Mapping[str, Any] | None = None  # code, message, param, details


@dataclass(frozen=True, slots=True)
class EventRecord:
    """`n` counts from 1 within the thread, without gaps; a run of text is one record with the number of its last."""

    thread_id: str
    n: int
    analysis_id: str
    type: str  # text, fetch, code, execute, file, status, finished, failed
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """An OpenAI file object; its bytes lie in the files directory under `id`."""

    id: str  # file-…
    owner_id: str
    filename: str
    bytes: int
    purpose: str
    created_at: int


class ThreadRepository(Protocol):
    async def add_thread(self, thread: ThreadRecord, *, at_most: int = 0) -> None:
        """Raises QuotaExceeded when its owner has `at_most` threads already; 0: no limit."""

    async def get_thread(self, thread_id: str) -> ThreadRecord | None: ...
    async def list_threads(
        self, owner_id: str, *, limit: int, before: tuple[int, str] | None = None
    ) -> Sequence[ThreadRecord]:
        """Newest first; `before` is the (created_at, id) of the last one of the page before."""

    async def touch_thread(self, thread_id: str, last_accessed_at: int, expires_at: int) -> None: ...
    async def expired_threads(self, now: int) -> Sequence[ThreadRecord]: ...
    async def all_threads(self) -> Sequence[ThreadRecord]: ...
    async def delete_thread(self, thread_id: str) -> bool:
        """Removes the thread with its messages, analyses and events."""

    async def add_messages(self, messages: Sequence[MessageRecord]) -> None: ...
    async def list_messages(self, thread_id: str) -> Sequence[MessageRecord]: ...
    async def add_analysis(self, analysis: AnalysisRecord) -> None: ...
    async def get_analysis(self, analysis_id: str) -> AnalysisRecord | None: ...
    async def list_analyses(self, thread_id: str) -> Sequence[AnalysisRecord]: ...
    async def set_analysis_status(self, analysis_id: str, status: AnalysisStatus) -> None: ...
    async def finish_analysis(
        self,
        analysis_id: str,
        status: AnalysisStatus,
        finished_at: int,
        error: Mapping[str, Any] | None,
        messages: Sequence[MessageRecord],
        events: Sequence[EventRecord],
    ) -> None:
        """In one transaction: the analysis's end, its messages and the events not stored yet."""

    async def interrupt_unfinished(self, finished_at: int) -> int:
        """Called once at start: what a crash left queued or running becomes `interrupted`. Returns how many."""

    async def add_events(self, events: Sequence[EventRecord]) -> None: ...
    async def list_events(
        self, thread_id: str, *, after: int = 0, limit: int = 1000
    ) -> Sequence[EventRecord]: ...
    async def last_event(self, thread_id: str) -> int:
        """The highest `n` of the thread, 0 when it has none."""


class FileRepository(Protocol):
    async def add_file(self, file: UploadedFile) -> None: ...
    async def get_file(self, file_id: str) -> UploadedFile | None: ...
    async def list_files(
        self, owner_id: str, *, purpose: str | None = None, limit: int, before: tuple[int, str] | None = None
    ) -> Sequence[UploadedFile]: ...
    async def delete_file(self, file_id: str) -> bool: ...
    async def all_files(self) -> Sequence[UploadedFile]: ...
