"""A query's result as a file that is made for one answer and gone with it."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from deepanalyze.api.downloads import send_bytes
from deepanalyze.api.streaming import ClientGone, until_disconnect
from deepanalyze.datasources.capabilities import Exported

log = structlog.get_logger()


class ExportedFile(Response):
    """Exports when it is sent: what fails before the first byte becomes a proper answer, and a client that goes away
    ends the export as well as the transfer.

    Args:
        directory: takes the file as long as it lasts. That of the uploaded files, where a start removes what a crash
            left behind.
        export: writes the file that it is given the path of.
    """

    def __init__(
        self,
        directory: Path,
        export: Callable[[Path], Awaitable[Exported]],
        *,
        media_type: str,
        filename: str,
    ) -> None:
        super().__init__(media_type=media_type)
        self._path = directory / f"export-{secrets.token_hex(12)}"
        self._export = export
        self._filename = filename
        self._descriptor: int | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await until_disconnect(receive, self._answer(send))
        except ClientGone:
            log.info("client left before it had the whole result")
        finally:
            if self._descriptor is not None:  # gives the room of a nameless file back, which takes time
                await asyncio.shield(asyncio.to_thread(os.close, self._descriptor))

    async def _answer(self, send: Send) -> None:
        try:
            exported = await self._export(self._path)
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        finally:  # before the first byte is sent: nothing but the descriptor keeps the file then
            self._path.unlink(missing_ok=True)
        await send({"type": "http.response.start", "status": 200, "headers": self._described(exported).raw})
        await send_bytes(self._descriptor, 0, exported.bytes, send)
        await send({"type": "http.response.body", "body": b""})

    def _described(self, exported: Exported) -> MutableHeaders:
        return MutableHeaders(
            headers={
                "Content-Type": self.headers["content-type"],
                "Content-Length": str(exported.bytes),
                "Content-Disposition": f'attachment; filename="{self._filename}"',
                "X-Row-Count": str(exported.rows),
                "X-Truncated": str(exported.truncated).lower(),
                "Cache-Control": "no-store",
            }
        )
