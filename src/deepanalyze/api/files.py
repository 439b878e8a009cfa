"""Uploaded files, as OpenAI's clients know them."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.datastructures import FormData, UploadFile

from deepanalyze.analysis.paging import cursor_after
from deepanalyze.analysis.records import UploadedFile
from deepanalyze.api.auth import CurrentPrincipal
from deepanalyze.api.context import Runtime
from deepanalyze.api.downloads import CHUNK_BYTES, FileDownload, OpenFile
from deepanalyze.api.pagination import Cursor, Limit, page
from deepanalyze.api.schemas import File, FileDeleted, Page, failures
from deepanalyze.audit import note
from deepanalyze.errors import InvalidRequest, NotFound

router = APIRouter(prefix="/files", tags=["files"])

DEFAULT_PURPOSE = "user_data"

_UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "default": DEFAULT_PURPOSE},
                    },
                }
            }
        },
    }
}
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bytes, or some of them with 206",
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("", summary="Upload a file", response_model=File, responses=failures(), openapi_extra=_UPLOAD)
async def upload(request: Request, runtime: Runtime, principal: CurrentPrincipal) -> dict[str, Any]:
    """Keeps a file for analyses. Its name loses every directory part."""
    async with request.form(max_files=1, max_fields=16, max_part_size=64 * 1024) as form:
        file, purpose = _fields(form)
        stored = await runtime.files.create(principal, file.filename or "", purpose, _chunks(file))
    return _object(stored)


@router.get("", summary="List your uploaded files", response_model=Page[File], responses=failures(404))
async def list_files(
    runtime: Runtime,
    principal: CurrentPrincipal,
    purpose: Annotated[str | None, Query(description="only files of this purpose")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    after: Annotated[str | None, Query(description="a file's id, as OpenAI's clients page")] = None,
) -> dict[str, Any]:
    """Your files, newest first."""
    if after and cursor is None:
        cursor = cursor_after(await runtime.files.get(principal, after))
    found = await runtime.files.list(principal, purpose=purpose, limit=limit, cursor=cursor)
    return page([_object(file) for file in found.items], found.next_cursor)


@router.get(
    "/{file_id}", summary="Get an uploaded file's description", response_model=File, responses=failures(404)
)
async def get_file(file_id: str, runtime: Runtime, principal: CurrentPrincipal) -> dict[str, Any]:
    return _object(await runtime.files.get(principal, file_id))


@router.delete(
    "/{file_id}", summary="Delete an uploaded file", response_model=FileDeleted, responses=failures(404)
)
async def delete(file_id: str, runtime: Runtime, principal: CurrentPrincipal) -> dict[str, Any]:
    await runtime.files.delete(principal, file_id)
    return {"id": file_id, "deleted": True}


@router.head("/{file_id}/content", include_in_schema=False)
@router.get(
    "/{file_id}/content",
    summary="Download an uploaded file",
    response_class=Response,
    responses={**_BYTES, **failures(404, 416)},
)
async def content(file_id: str, runtime: Runtime, principal: CurrentPrincipal) -> Response:
    """The bytes; ranges can be asked for."""
    file = await runtime.files.get(principal, file_id)
    path = runtime.files.path(file)

    def open_file() -> OpenFile:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"there is no file {file.id!r}") from None  # deleted meanwhile
        mime_type = mimetypes.guess_type(file.filename)[0] or "application/octet-stream"
        return OpenFile(descriptor, file.filename, file.bytes, file.created_at, mime_type)

    def record(size: int) -> None:
        details = {"filename": file.filename, "bytes": size}
        note("download", object_type="file", object_id=file.id, details=details)

    return FileDownload(open_file, record=record, always_attach=True)


def _fields(form: FormData) -> tuple[UploadFile, str]:
    file, purpose = form.get("file"), form.get("purpose", DEFAULT_PURPOSE)
    if not isinstance(file, UploadFile):
        raise InvalidRequest("a multipart form with the field `file` is required", param="file")
    if not isinstance(purpose, str):
        raise InvalidRequest("purpose must be a text", param="purpose")
    return file, purpose


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(CHUNK_BYTES):
        yield chunk


def _object(file: UploadedFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": file.created_at,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
    }
