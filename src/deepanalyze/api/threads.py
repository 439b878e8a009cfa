"""Threads: what was said in them, what happens in them, and how to end that."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from deepanalyze.accounts import Principal
from deepanalyze.analysis.events import Numbered
from deepanalyze.analysis.records import MessageRecord, ThreadRecord
from deepanalyze.api.auth import CurrentPrincipal
from deepanalyze.api.context import Runtime
from deepanalyze.api.errors import request_id_of
from deepanalyze.api.pagination import Cursor, Limit, cut, page
from deepanalyze.api.rendering import Answer, ChunkRenderer, FileLinks
from deepanalyze.api.schemas import (
    Message,
    Page,
    Thread,
    ThreadCancelled,
    ThreadDeleted,
    ThreadFile,
    failures,
)
from deepanalyze.api.services import Services
from deepanalyze.api.streaming import EventStream

router = APIRouter(prefix="/threads", tags=["threads"])

_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The chunks of a streamed chat, each with its number as the event's id",
        "content": {"text/event-stream": {"schema": {}}},
    }
}


@router.get("", summary="List your threads", response_model=Page[Thread], responses=failures())
async def list_threads(
    runtime: Runtime, principal: CurrentPrincipal, limit: Limit = 20, cursor: Cursor = None
) -> dict[str, Any]:
    """Your threads, newest first."""
    found = await runtime.threads.list(principal, limit=limit, cursor=cursor)
    return page([await _object(runtime, principal, thread) for thread in found.items], found.next_cursor)


@router.get(
    "/{thread_id}", summary="Get a thread and its files", response_model=Thread, responses=failures(404)
)
async def get_thread(thread_id: str, runtime: Runtime, principal: CurrentPrincipal) -> dict[str, Any]:
    return await _object(runtime, principal, await runtime.threads.get(principal, thread_id))


@router.delete(
    "/{thread_id}",
    summary="Delete a thread with its messages and files",
    response_model=ThreadDeleted,
    responses=failures(404),
)
async def delete(thread_id: str, runtime: Runtime, principal: CurrentPrincipal) -> dict[str, Any]:
    """Ends what runs in it and removes it with its messages and files."""
    await runtime.threads.delete(principal, thread_id)
    return {"id": thread_id, "deleted": True}


@router.post(
    "/{thread_id}/cancel",
    summary="Stop a thread's analysis",
    response_model=ThreadCancelled,
    responses=failures(404),
)
async def cancel(thread_id: str, runtime: Runtime, principal: CurrentPrincipal) -> dict[str, Any]:
    """Stops its analysis: model, queries and code."""
    return {"id": thread_id, "cancelled": await runtime.analyses.cancel(principal, thread_id)}


@router.get(
    "/{thread_id}/files",
    summary="List a thread's files, with links",
    response_model=Page[ThreadFile],
    responses=failures(404),
)
async def list_files(
    thread_id: str, runtime: Runtime, principal: CurrentPrincipal, limit: Limit = 1000, cursor: Cursor = None
) -> dict[str, Any]:
    """What lies in its workspace, by name, with links that need no key until they expire."""
    thread = await runtime.threads.get(principal, thread_id)
    files = await asyncio.to_thread(runtime.threads.workspace(thread.id).list)
    some, next_cursor = cut(sorted(files, key=lambda file: file.name), lambda file: file.name, limit, cursor)
    return page(FileLinks(runtime.urls, principal.user_id, thread.id).objects(some), next_cursor)


@router.get(
    "/{thread_id}/messages",
    summary="List a thread's messages",
    response_model=Page[Message],
    responses=failures(404),
)
async def list_messages(
    thread_id: str, runtime: Runtime, principal: CurrentPrincipal, limit: Limit = 100, cursor: Cursor = None
) -> dict[str, Any]:
    """The conversation so far, oldest first."""
    messages = await runtime.threads.messages(principal, thread_id)
    some, next_cursor = cut(messages, lambda message: f"{message.seq:012}", limit, cursor)
    return page([_message(message) for message in some], next_cursor)


@router.get(
    "/{thread_id}/events",
    summary="Follow or resume a thread's analyses as a stream",
    response_class=Response,
    responses={**_EVENTS, **failures(404)},
)
async def events(
    thread_id: str,
    runtime: Runtime,
    principal: CurrentPrincipal,
    request: Request,
    after: Annotated[
        int, Query(ge=0, le=2**53, description="the number of the last event that you have")
    ] = 0,
    last_event_id: Annotated[str | None, Header(description="as browsers send it; wins over `after`")] = None,
) -> Response:
    """What happened in the thread and, while an analysis runs, what happens: the same stream as the chat's."""
    thread = await runtime.threads.get(principal, thread_id)
    if last_event_id and last_event_id.isdecimal():
        after = min(int(last_event_id[:16]), 2**53)  # Python reads no number of any length
    links = FileLinks(runtime.urls, principal.user_id, thread.id)
    request_id = request_id_of(request)

    renderers: dict[
        str, ChunkRenderer
    ] = {}  # of each analysis, which tells in its course which model it asks

    def render(numbered: Numbered) -> bytes:
        of = numbered.analysis_id
        if of not in renderers:
            answer = Answer(of, thread.created_at, "", thread.id)
            renderers[of] = ChunkRenderer(answer, links, request_id=request_id)
        return renderers[of].event(numbered)

    followed = runtime.analyses.follow(principal, thread.id, after)
    return EventStream(followed, render, request_id=request_id)


async def _object(runtime: Services, principal: Principal, thread: ThreadRecord) -> dict[str, Any]:
    files = await asyncio.to_thread(runtime.threads.workspace(thread.id).list)
    return {
        "id": thread.id,
        "object": "thread",
        "created_at": thread.created_at,
        "last_accessed_at": thread.last_accessed_at,
        "expires_at": thread.expires_at,
        "status": runtime.analyses.status(thread.id),
        "files": FileLinks(runtime.urls, principal.user_id, thread.id).objects(files),
    }


def _message(message: MessageRecord) -> dict[str, Any]:
    return {
        "object": "thread.message",
        "seq": message.seq,
        "role": message.role,
        "content": message.content,
        "created_at": message.created_at,
        "analysis_id": message.analysis_id,
    }
