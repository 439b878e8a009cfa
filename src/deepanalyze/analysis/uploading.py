"""Uploading what an analysis made into a data source."""

from __future__ import annotations

from deepanalyze.access import SourceAccess
from deepanalyze.accounts import Principal
from deepanalyze.analysis.threads import Threads
from deepanalyze.datasources.base import DataItem


async def upload_from_thread(
    sources: SourceAccess,
    threads: Threads,
    principal: Principal,
    source_id: str,
    *,
    thread_id: str,
    file: str,
    path: str,
    overwrite: bool,
    request_id: str,
) -> DataItem:
    """The item written, which remembers thread and request as metadata of its own."""
    thread = await threads.get(principal, thread_id)
    upload = sources.upload(
        principal,
        source_id,
        threads.workspace(thread.id),
        file,
        path,
        overwrite=overwrite,
        metadata={"deepanalyze_thread": thread.id, "deepanalyze_request": request_id},
    )
    return await threads.working(thread.id, upload)
