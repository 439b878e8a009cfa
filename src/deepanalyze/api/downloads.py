"""One file as an answer: streamed from its descriptor, in ranges where asked, harmless in a browser."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from deepanalyze.errors import RangeNotSatisfiable

CHUNK_BYTES = 256 * 1024

# Files that code made, or strangers uploaded, are untrusted: nothing in them may run where our pages run.
_UNTRUSTED = {
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address may hold a signature
    "Cache-Control": "private, no-cache",
    "Accept-Ranges": "bytes",
}
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_SHOWN_TEXTS = ("text/plain", "text/markdown", "text/csv")


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A descriptor to be closed by whoever gets it."""

    descriptor: int
    name: str
    size: int
    modified_at: float
    mime_type: str

    @property
    def etag(self) -> str:
        return f'"{int(self.modified_at * 1e6):x}-{self.size:x}"'


class FileDownload(Response):
    """Opens the file when it is sent, so that it is closed whatever happens to the request before.

    Args:
        open_file: blocking; called in a thread. What it raises becomes the answer.
        record: called with how many bytes of the file go out, before the first does.
    """

    def __init__(
        self,
        open_file: Callable[[], OpenFile],
        *,
        record: Callable[[int], None],
        always_attach: bool = False,
    ) -> None:
        super().__init__()
        self._open_file = open_file
        self._record = record
        self._always_attach = always_attach

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        file = await asyncio.to_thread(self._open_file)
        try:
            await self._send(file, scope["method"], Headers(scope=scope), send)
        finally:
            os.close(file.descriptor)

    async def _send(self, file: OpenFile, method: str, request: Headers, send: Send) -> None:
        headers = self._describe(file)
        if file.etag in [tag.strip() for tag in request.get("if-none-match", "").split(",")]:
            await _start(send, 304, headers)
            await send({"type": "http.response.body", "body": b""})
            return
        start, end = _wanted(request, file)
        partial = (start, end) != (0, file.size)
        headers["Content-Length"] = str(end - start)
        if partial:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
        await _start(send, 206 if partial else 200, headers)
        if method != "HEAD":
            self._record(end - start)
            await send_bytes(file.descriptor, start, end, send)
        await send({"type": "http.response.body", "body": b""})

    def _describe(self, file: OpenFile) -> MutableHeaders:
        shown = file.mime_type.startswith("image/") or file.mime_type in _SHOWN_TEXTS
        charset = "; charset=utf-8" if file.mime_type.startswith("text/") else ""
        headers = MutableHeaders(headers=_UNTRUSTED)
        headers["Content-Type"] = file.mime_type + charset
        headers["Content-Disposition"] = content_disposition(
            "inline" if shown and not self._always_attach else "attachment", file.name
        )
        headers["ETag"] = file.etag
        headers["Last-Modified"] = formatdate(file.modified_at, usegmt=True)
        return headers


def content_disposition(kind: str, name: str) -> str:
    """The last part of `name`, in the form of RFC 6266 for all names and in ASCII for old clients."""
    last = name.rpartition("/")[2]
    plain = re.sub(r'[^ -~]|["\\%]', "_", last)
    encoded = quote(last, safe="!#$&+-.^_`|~", errors="replace")
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def _wanted(request: Headers, file: OpenFile) -> tuple[int, int]:
    """The bytes from the first to before the second. Several ranges, and what is no range, mean the whole file."""
    found = _RANGE.fullmatch(request.get("range", "").replace(" ", ""))
    if found is None or request.get("if-range", file.etag) != file.etag or found.group() == "bytes=-":
        return 0, file.size
    first, last = found.groups()
    if first:
        start, end = int(first), min(int(last) + 1 if last else file.size, file.size)
        if last and int(last) < int(first):
            return 0, file.size
    else:
        start, end = max(0, file.size - int(last)), file.size
    if start >= end:
        raise RangeNotSatisfiable(f"the file has {file.size} bytes; {found.group()} is not among them")
    return start, end


async def _start(send: Send, status: int, headers: MutableHeaders) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers.raw})


async def send_bytes(descriptor: int, start: int, end: int, send: Send) -> None:
    while start < end:
        chunk = await asyncio.to_thread(os.pread, descriptor, min(CHUNK_BYTES, end - start), start)
        if not chunk:  # cut short meanwhile; the client sees that bytes are missing
            return
        start += len(chunk)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
