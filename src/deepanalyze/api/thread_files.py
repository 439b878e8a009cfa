"""A file of a thread: for its owner, or for whoever holds a link that the server signed for the owner."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from deepanalyze.accounts import Principal, User
from deepanalyze.api.auth import documented, is_signed_link
from deepanalyze.api.context import Runtime
from deepanalyze.api.downloads import FileDownload, OpenFile
from deepanalyze.api.schemas import failures
from deepanalyze.audit import note
from deepanalyze.errors import InvalidApiKey

router = APIRouter(prefix="/threads", tags=["threads"], dependencies=documented)

_BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bytes, or some of them with 206",
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


async def _reader(
    thread_id: str,
    path: str,
    request: Request,
    runtime: Runtime,
    user: Annotated[str | None, Query(description="of a signed link")] = None,
    expires: Annotated[int | None, Query(description="of a signed link; Unix seconds")] = None,
    signature: Annotated[str | None, Query(description="of a signed link")] = None,
) -> Principal:
    if is_signed_link(request.scope):
        runtime.urls.verify(thread_id, path, user or "", expires or 0, signature or "")
        if owner := await runtime.accounts.find_user(user or ""):
            runtime.request_rate.take(Principal(owner))
        return Principal(User(id=user or "", name="", role="analyst"), sources=())
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None:
        raise InvalidApiKey("an API key or a signed link is needed")
    return principal


@router.head("/{thread_id}/files/{path:path}", include_in_schema=False)
@router.get(
    "/{thread_id}/files/{path:path}",
    summary="Download a thread's file, with a key or a signed link",
    response_class=Response,
    responses={**_BYTES, **failures(403, 404, 416)},
)
async def download(
    thread_id: str,
    path: str,
    request: Request,
    runtime: Runtime,
    reader: Annotated[Principal, Depends(_reader)],
) -> Response:
    """The bytes; ranges can be asked for. A signed link works as long as the thread is its user's."""
    thread = await runtime.threads.get(reader, thread_id)
    workspace = runtime.threads.workspace(thread.id)

    def open_file() -> OpenFile:
        descriptor, file = workspace.open(path)
        return OpenFile(descriptor, file.name, file.size, file.modified_at, file.mime_type)

    def record(size: int) -> None:
        """Whoever holds a link is nobody that we know."""
        details = {"path": path, "bytes": size}
        if is_signed_link(request.scope):
            details |= {"signed_link_of": reader.user_id}
        note("download", object_type="thread", object_id=thread.id, details=details)

    return FileDownload(open_file, record=record)
