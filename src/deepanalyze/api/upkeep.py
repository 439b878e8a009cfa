"""How full and how busy the server is, and tidying up. For administrators."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from deepanalyze.administration import SourcePool, source_pools
from deepanalyze.api.admin_schemas import SourcePoolObject, ThreadsCleaned, ThreadsStats
from deepanalyze.api.auth import for_admins
from deepanalyze.api.context import Runtime
from deepanalyze.api.pagination import Cursor, Limit, cut, page
from deepanalyze.api.schemas import Page, failures
from deepanalyze.audit import changing

router = APIRouter(prefix="/admin", tags=["administration"], dependencies=for_admins)

TimeoutHours = Annotated[
    float | None,
    Query(
        ge=0,
        le=10**6,
        description="threads go that were not used for so long; the setting's time when left out",
    ),
]


@router.post(
    "/cleanup-threads",
    summary="Remove the threads that were not used for some hours",
    response_model=ThreadsCleaned,
    responses=failures(403),
)
async def cleanup_threads(runtime: Runtime, timeout_hours: TimeoutHours = None) -> dict[str, Any]:
    """Of all users, with their kernels, connections, messages and files. What has expired goes by itself."""
    hours = runtime.threads.ttl_hours if timeout_hours is None else timeout_hours
    with changing("cleanup", "thread", unused_hours=hours) as facts:
        removed = await runtime.threads.expire(unused_hours=timeout_hours)
        facts["threads"] = len(removed)
    return {"cleaned_threads": len(removed), "timeout_hours": hours, "timestamp": int(time.time())}


@router.get(
    "/threads-stats",
    summary="Count the threads of all users",
    response_model=ThreadsStats,
    responses=failures(403),
)
async def threads_stats(runtime: Runtime) -> dict[str, Any]:
    stats = await runtime.threads.stats()
    hours = runtime.threads.ttl_hours
    return {**stats.as_dict(), "timeout_hours": hours, "timestamp": int(time.time())}


@router.get(
    "/pools",
    summary="Show how busy the connections to the sources are",
    response_model=Page[SourcePoolObject],
    responses=failures(403),
)
async def pools(runtime: Runtime, limit: Limit = 100, cursor: Cursor = None) -> dict[str, Any]:
    """Of every source, by name, at this moment."""
    found = source_pools(runtime.registry)
    some, next_cursor = cut(found, lambda pool: pool.source.name, limit, cursor)
    return page([_pool(pool) for pool in some], next_cursor)


def _pool(pool: SourcePool) -> dict[str, Any]:
    return {
        "source_id": pool.source.id,
        "name": pool.source.name,
        "type": pool.source.type,
        "pool": pool.stats and asdict(pool.stats),
    }
