"""Uploads: streamed in blocks that become a blob when the last has arrived."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from deepanalyze.datasources.base import DataItem
from deepanalyze.datasources.paths import base_name, printable
from deepanalyze.errors import AlreadyExists, BlobNotFound, SourceAuthenticationFailed, Stale

if TYPE_CHECKING:
    from deepanalyze.datasources.connectors.azure_blob.session import ContainerSession

_READ_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class Upload:
    """What to write besides the bytes. `metadata`: names as the service allows them, `[A-Za-z_][A-Za-z0-9_]*`."""

    size: int
    overwrite: bool = False
    content_type: str | None = None
    metadata: Mapping[str, str] | None = None


async def uploaded(session: ContainerSession, file: BinaryIO, name: str, upload: Upload) -> DataItem:
    if not upload.overwrite:
        await _check_absent(session, name)
    answer = await session.write(name, _chunks(session, file, name, upload.size), upload)
    return DataItem(
        name=base_name(name),
        path=name,
        kind="blob",
        size=upload.size,
        modified_at=int(answer["last_modified"].timestamp()),
        metadata={"content_type": upload.content_type, "etag": answer["etag"]},
    )


async def _check_absent(session: ContainerSession, name: str) -> None:
    """Before the first byte; the service checks again at the last."""
    try:
        await session.properties(name)
    except (BlobNotFound, SourceAuthenticationFailed):
        return
    raise AlreadyExists(session.errors.exists_already(name))


async def _chunks(session: ContainerSession, file: BinaryIO, name: str, size: int) -> AsyncIterator[bytes]:
    """As many bytes as were announced. Raises Stale for a file that somebody makes shorter meanwhile."""
    left = size
    while left:
        chunk = await session.in_thread(file.read, min(_READ_BYTES, left))
        if not chunk:
            raise Stale(
                f"source '{session.errors.source}': the file was changed while it was uploaded, so "
                f"'{printable(name)}' was not written; try again"
            )
        left -= len(chunk)
        yield chunk
