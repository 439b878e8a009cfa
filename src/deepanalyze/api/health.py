"""Liveness and readiness, for people and for what restarts servers. Neither needs a key."""

from __future__ import annotations

from fastapi import APIRouter, Response

from deepanalyze.api.context import Runtime
from deepanalyze.api.schemas import Live, Ready

router = APIRouter(tags=["health"])


@router.get("/health", summary="Is the server alive?", response_model=Live)
async def live(runtime: Runtime) -> dict[str, object]:
    """Whether the server answers at all."""
    return runtime.health.live()


@router.get(
    "/health/ready",
    summary="Is every part ready?",
    response_model=Ready,
    responses={503: {"model": Ready, "description": "Not ready"}},
)
async def ready(runtime: Runtime, response: Response) -> dict[str, object]:
    """Whether each part can do its work, and how code is isolated here."""
    is_ready, checks = await runtime.health.ready()
    response.status_code = 200 if is_ready else 503
    return checks
