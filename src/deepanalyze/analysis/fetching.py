"""Fetching into a thread outside of an analysis; the thread's next analysis finds the files and knows their source."""

from __future__ import annotations

import asyncio

from deepanalyze.access import SourceAccess
from deepanalyze.accounts import Principal
from deepanalyze.analysis.manifest import record_fetched
from deepanalyze.analysis.threads import Threads
from deepanalyze.datasources.references import DataReference, FetchedFile
from deepanalyze.errors import Cancelled


async def fetch_into_thread(
    sources: SourceAccess,
    threads: Threads,
    principal: Principal,
    reference: DataReference,
    thread_id: str | None,
) -> tuple[str, list[FetchedFile]]:
    """The thread's id and its new files. Without a thread one is made, which goes again when the fetch fails."""
    thread = await threads.open(principal, thread_id)
    try:
        fetched = await threads.working(thread.id, _fetch(sources, threads, principal, reference, thread.id))
    except Cancelled:
        raise
    except BaseException:
        if not thread_id:
            await threads.delete(principal, thread.id)
        raise
    return thread.id, fetched


async def _fetch(
    sources: SourceAccess, threads: Threads, principal: Principal, reference: DataReference, thread_id: str
) -> list[FetchedFile]:
    workspace = threads.workspace(thread_id)
    try:
        fetched = await sources.fetch(principal, reference, workspace)
        await asyncio.to_thread(record_fetched, workspace, reference, fetched)
    finally:
        await asyncio.to_thread(workspace.measure)
    return fetched
