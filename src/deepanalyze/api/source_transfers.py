"""Data on its way from a source into a thread, and files on their way back."""

from __future__ import annotations

import dataclasses
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from deepanalyze.analysis.fetching import fetch_into_thread
from deepanalyze.analysis.uploading import upload_from_thread
from deepanalyze.api.auth import CurrentPrincipal
from deepanalyze.api.bodies import JsonRoute
from deepanalyze.api.chat_request import ReferencedData
from deepanalyze.api.context import Runtime
from deepanalyze.api.errors import request_id_of
from deepanalyze.api.params import named
from deepanalyze.api.rendering import fetched_object
from deepanalyze.api.schemas import Fetched, Item, failures
from deepanalyze.api.source_contents import SourceId
from deepanalyze.api.streaming import while_connected

router = APIRouter(prefix="/data-sources", tags=["data sources"], route_class=JsonRoute)


class FetchBody(ReferencedData):
    thread_id: str | None = Field(default=None, description="where to put it; a new thread when left out")


class UploadBody(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "thread_id": "thread-0f3c",
                "file": "report.md",
                "path": "results/2025/report.md",
                "overwrite": False,
            }
        },
    )

    thread_id: str = Field(min_length=1, description="the thread that has the file")
    file: str = Field(min_length=1, max_length=4096, description="its name in the thread's workspace")
    path: str = Field(
        min_length=1, max_length=4096, description="the blob's name, below `upload_prefix` if one is set"
    )
    overwrite: bool = Field(default=False, description="whether a blob of that name may be replaced")


@router.post(
    "/{id}/fetch",
    summary="Fetch a blob, table or query result into a thread",
    response_model=Fetched,
    responses=failures(400, 403, 404, 409, 424, 504),
)
async def fetch(
    id: SourceId, body: FetchBody, runtime: Runtime, principal: CurrentPrincipal, request: Request
) -> dict[str, Any]:
    """Brings a blob, a table or a query's result into a thread's workspace. Closing the connection stops it."""
    source = runtime.sources.get(principal, id)
    fetching = fetch_into_thread(
        runtime.sources, runtime.threads, principal, body.reference(source.id), body.thread_id
    )
    thread_id, fetched = await while_connected(request, fetching)
    return {"thread_id": thread_id, "files": [fetched_object(file) for file in fetched]}


@router.post(
    "/{id}/upload",
    status_code=201,
    summary="Upload a thread's file into a writable data source",
    response_model=Item,
    responses=failures(400, 403, 404, 409, 424, 504),
)
async def upload(
    id: SourceId, body: UploadBody, runtime: Runtime, principal: CurrentPrincipal, request: Request
) -> dict[str, Any]:
    """Needs a source with `read_only` false and the right to write to it. The blob appears complete or not at all, and
    carries thread and request as metadata. Closing the connection stops it.
    """
    uploading = upload_from_thread(
        runtime.sources,
        runtime.threads,
        principal,
        id,
        thread_id=body.thread_id,
        file=body.file,
        path=body.path,
        overwrite=body.overwrite,
        request_id=request_id_of(request),
    )
    with named(blob_name="path"):
        written = await while_connected(request, uploading)
    return dataclasses.asdict(written)
