"""An analysis as OpenAI's objects: one chunk for each event, or the whole stream folded into one answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
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
from deepanalyze.analysis.models.base import TokenUsage
from deepanalyze.api.errors import error_object
from deepanalyze.datasources.references import FetchedFile
from deepanalyze.errors import InternalError
from deepanalyze.urls import UrlSigner
from deepanalyze.workspace import WorkspaceFile

DONE = b"data: [DONE]\n\n"
# One line, not a block: a blank line would make readers that remember the last id (openai's is one) see an event
# without data.
KEEP_ALIVE = b": keep-alive\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """What all chunks of one answer, or its one object, have in common."""

    id: str
    created: int
    model: str
    thread_id: str


@dataclass(frozen=True, slots=True)
class FileLinks:
    """Files with links that work for one user without a key."""

    urls: UrlSigner
    user_id: str
    thread_id: str

    def object(self, file: WorkspaceFile) -> dict[str, Any]:
        return {
            "name": file.name,
            "url": self.urls.sign(self.user_id, self.thread_id, file.name),
            "size": file.size,
            "mime_type": file.mime_type,
            "modified_at": int(file.modified_at),
        }

    def objects(self, files: Sequence[WorkspaceFile]) -> list[dict[str, Any]]:
        return [self.object(file) for file in files]


def fetched_object(file: FetchedFile) -> dict[str, Any]:
    return {
        "source_id": file.source_id,
        "name": file.name,
        "type": file.type,
        "file": file.file,
        "rows": file.rows,
        "bytes": file.bytes,
        "truncated": file.truncated,
        "elapsed_ms": file.elapsed_ms,
        "path": file.path,
        "version": file.version,
        "etag": file.etag,
        "content_encoding": file.content_encoding,
    }


def usage_object(usage: TokenUsage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


class ChunkRenderer:
    """Server-sent events of one answer. Every chunk of an event carries its number as the SSE id, to resume from."""

    def __init__(
        self, answer: Answer, links: FileLinks, *, request_id: str, include_usage: bool = False
    ) -> None:
        self._answer = answer
        self._links = links
        self._request_id = request_id
        self._include_usage = include_usage

    def first(self) -> bytes:
        delta = {"role": "assistant", "content": "", "thread_id": self._answer.thread_id}
        return sse(self._chunk(delta))

    def event(self, numbered: Numbered) -> bytes:
        match numbered.event:
            case Text(text):
                return sse(self._chunk({"content": text}), numbered.n)
            case Finished() as finished:
                return b"".join(self._last(finished, numbered.n))
            case Failed(error):
                return sse({"error": error_object(error, self._request_id)}, numbered.n)
            case progress:
                self._answer = _told_model(self._answer, progress)
                event = {"n": numbered.n, **progress_object(progress, self._links)}
                return sse(self._chunk({"event": event}), numbered.n)

    def _last(self, finished: Finished, n: int) -> Iterator[bytes]:
        delta = {
            "files": self._links.objects(finished.files),
            "thread_id": self._answer.thread_id,
            "data_sources": [fetched_object(file) for file in finished.fetched],
        }
        yield sse(self._chunk(delta, finished.finish_reason), n)
        if self._include_usage:
            yield sse({**self._chunk({}), "choices": [], "usage": usage_object(finished.usage)})

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        chunk: dict[str, Any] = {
            "id": self._answer.id,
            "object": "chat.completion.chunk",
            "created": self._answer.created,
            "model": self._answer.model,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
        }
        if self._include_usage:
            chunk["usage"] = None
        return chunk


def asked_model(event: Event) -> str | None:
    """The model that is asked from now on, where the event tells."""
    model = event.detail.get("model") if isinstance(event, Status) else None
    return model if isinstance(model, str) else None


def _told_model(answer: Answer, event: Event) -> Answer:
    model = asked_model(event)
    return answer if model in (None, answer.model) else replace(answer, model=model)


def progress_object(event: Event, links: FileLinks) -> dict[str, Any]:
    """The value of `delta.event`, without its number."""
    match event:
        case Fetch():
            return {
                "type": "fetch",
                "param": event.param,
                "source": event.source,
                "status": event.status,
                "bytes": event.bytes,
                "rows": event.rows,
                "total_bytes": event.total_bytes,
                "bytes_per_s": event.bytes_per_s,
                "files": [fetched_object(file) for file in event.files],
                "error": event.error,
            }
        case Code():
            return {"type": "code", "block": event.block, "code": event.code}
        case Execute():
            return {
                "type": "execute",
                "block": event.block,
                "status": event.status,
                "output": event.output,
                "elapsed_ms": event.elapsed_ms,
            }
        case File():
            return {"type": "file", **links.object(event.file)}
        case Status():
            return {"type": "status", "message": event.message, "detail": dict(event.detail)}
        case _:
            raise InternalError(f"{type(event).__name__} is no progress")


def sse(data: dict[str, Any], event_id: int | None = None) -> bytes:
    head = "" if event_id is None else f"id: {event_id}\n"
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"{head}data: {text}\n\n".encode(errors="replace")


@dataclass(frozen=True, slots=True)
class Folded:
    text: str
    finished: Finished
    model: str | None = None  # the one that answered, where it was told


async def fold(events: AsyncIterator[Numbered]) -> Folded:
    """Reads the stream to its end. Raises what the analysis failed with."""
    pieces: list[str] = []
    model = None
    async for numbered in events:
        match numbered.event:
            case Text(text):
                pieces.append(text)
            case Failed(error):
                raise error
            case Finished() as finished:
                return Folded("".join(pieces), finished, model)
            case Status() as status:
                model = asked_model(status) or model
    raise InternalError("the analysis ended without an answer")


def completion_object(
    answer: Answer, links: FileLinks, folded: Folded, attached_files: Sequence[str]
) -> dict[str, Any]:
    files = links.objects(folded.finished.files)
    message = {
        "role": "assistant",
        "content": folded.text,
        "thread_id": answer.thread_id,
        "files": files,
        "data_sources": [fetched_object(file) for file in folded.finished.fetched],
    }
    finish_reason = folded.finished.finish_reason
    return {
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": folded.model or answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
        "usage": usage_object(folded.finished.usage),
        "generated_files": files,
        "attached_files": list(attached_files),
    }
