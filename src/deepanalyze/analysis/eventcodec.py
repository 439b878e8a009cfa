"""Events as the store keeps them. A run of text is one record: it bears the number of its last event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from deepanalyze.analysis.events import (
    Code,
    Event,
    Execute,
    Failed,
    Fetch,
    File,
    Finished,
    Numbered,
    Status,
    Text,
)
from deepanalyze.analysis.manifest import fetched_file
from deepanalyze.analysis.models.base import TokenUsage
from deepanalyze.analysis.records import EventRecord
from deepanalyze.errors import DeepAnalyzeError, FetchFailed, InternalError
from deepanalyze.workspace import WorkspaceFile

_PLAIN: Mapping[str, type[Code | Execute | Status]] = {"code": Code, "execute": Execute, "status": Status}


def records_of(thread_id: str, events: Iterable[Numbered]) -> list[EventRecord]:
    """`events` in order, without gaps."""
    records: list[EventRecord] = []
    for (analysis_id, is_text), run in groupby(events, lambda e: (e.analysis_id, isinstance(e.event, Text))):
        if not is_text:
            records += [EventRecord(thread_id, e.n, analysis_id, *_encoded(e.event)) for e in run]
            continue
        pieces = list(run)
        texts = [e.event.text for e in pieces if isinstance(e.event, Text)]
        records.append(EventRecord(thread_id, pieces[-1].n, analysis_id, "text", {"texts": texts}))
    return records


def events_of(record: EventRecord) -> Iterator[Numbered]:
    if record.type != "text":
        yield Numbered(record.n, record.analysis_id, _decoded(record.type, record.data))
        return
    texts: Sequence[str] = record.data["texts"]
    for n, text in enumerate(texts, start=record.n - len(texts) + 1):
        yield Numbered(n, record.analysis_id, Text(text))


def error_fields(error: DeepAnalyzeError) -> dict[str, Any]:
    return {
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "details": error.details,
        "retry_after_s": error.retry_after_s,
    }


def finished_fields(event: Finished) -> dict[str, Any]:
    return {
        "finish_reason": event.finish_reason,
        "usage": asdict(event.usage),
        "files": [asdict(file) for file in event.files],
        "fetched": [asdict(file) for file in event.fetched],
    }


def _encoded(event: Event) -> tuple[str, dict[str, Any]]:
    match event:
        case Finished():
            return "finished", finished_fields(event)
        case Failed():
            return "failed", error_fields(event.error)
        case Fetch() | Code() | Execute() | File() | Status() | Text():
            return type(event).__name__.lower(), asdict(event)


def _decoded(kind: str, data: Mapping[str, Any]) -> Event:
    if kind in _PLAIN:
        return _PLAIN[kind](**data)
    if kind == "fetch":
        return Fetch(**{**data, "files": tuple(fetched_file(f) for f in data["files"])})
    if kind == "file":
        return File(WorkspaceFile(**data["file"]))
    if kind == "failed":
        return Failed(_error(data))
    return Finished(
        data["finish_reason"],
        TokenUsage(**data["usage"]),
        tuple(WorkspaceFile(**f) for f in data["files"]),
        tuple(fetched_file(f) for f in data["fetched"]),
    )


def _error(data: Mapping[str, Any]) -> DeepAnalyzeError:
    by_code = {kind.code: kind for kind in _kinds(DeepAnalyzeError) if kind is not FetchFailed}
    return by_code.get(data["code"], InternalError)(
        data["message"], param=data["param"], details=data["details"], retry_after_s=data["retry_after_s"]
    )


def _kinds(base: type[DeepAnalyzeError]) -> Iterator[type[DeepAnalyzeError]]:
    for kind in base.__subclasses__():
        yield from _kinds(kind)
        yield kind
