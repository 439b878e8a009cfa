"""Fetching into a thread outside of an analysis; the thread's next analysis finds the files and knows their source."""

from __future__ import annotations

import asyncio

from deepanalyze.access import SourceAccess
from deepanalyze.accounts import Principal
from deepanalyze.analysis.manifest import record_fetched
from deepanalyze.analysis.threads import Threads
from deepanalyze.datasources.references import DataReference, FetchedFile


async def fetch_into_thread(
    sources: SourceAccess,
    threads: Threads,
    principal: Principal,
    reference: DataReference,
    thread_id: str | None,
) -> tuple[str, list[FetchedFile]]:
    """The thread's id and its new files. Without a thread one is made, which goes again when the fetch fails."""
    thread = await threads.open(principal, thread_id)
    workspace = threads.workspace(thread.id)
    try:
        fetched = await sources.fetch(principal, reference, workspace)
        await asyncio.to_thread(record_fetched, workspace, reference, fetched)
    except BaseException:
        if not thread_id:
            await threads.delete(principal, thread.id)
        raise
    finally:
        await asyncio.to_thread(workspace.measure)
    return thread.id, fetched
