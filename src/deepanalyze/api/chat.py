"""`/v1/chat/completions`, as OpenAI's clients know it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from deepanalyze.api.auth import CurrentPrincipal
from deepanalyze.api.bodies import JsonRoute
from deepanalyze.api.chat_request import ChatBody
from deepanalyze.api.context import Runtime
from deepanalyze.api.errors import request_id_of
from deepanalyze.api.rendering import Answer, ChunkRenderer, FileLinks, completion_object, fold
from deepanalyze.api.schemas import ChatCompletion, failures
from deepanalyze.api.streaming import EventStream, while_connected

router = APIRouter(prefix="/chat", tags=["chat"], route_class=JsonRoute)

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream`, OpenAI's chunks as server-sent events, ended by `data: [DONE]`",
        "content": {"text/event-stream": {"schema": {}}},
    }
}


@router.post(
    "/completions",
    summary="Ask a question over data, in OpenAI's form",
    response_model=ChatCompletion,
    responses={**_STREAM, **failures(400, 403, 404, 409, 424, 502, 504)},
)
async def complete(
    body: ChatBody, request: Request, runtime: Runtime, principal: CurrentPrincipal
) -> Response:
    """Fetches the data that the request names, then has the model analyse it.

    With `stream`, what fails before the first text, or within the first second, is answered with its HTTP status;
    what fails later is sent as one `data: {"error": …}`, and the stream ends. Progress travels in `delta.event`.
    Closing the connection stops the analysis, unless `background` is true.
    """
    request_id = request_id_of(request)
    wanted = body.analysis(principal, request_id)
    job = await runtime.analyses.start(wanted)
    answer = Answer(job.id, job.created, job.model, job.thread_id)
    links = FileLinks(runtime.urls, principal.user_id, job.thread_id)
    if body.stream:
        chunks = ChunkRenderer(answer, links, request_id=request_id, include_usage=body.wants_usage)
        return EventStream(job.events(), chunks.event, request_id=request_id, first=chunks.first(), hold=True)
    folded = await while_connected(request, fold(job.events()))
    attached = [placed.file_id for placed in wanted.files]
    return JSONResponse(completion_object(answer, links, folded, attached))
