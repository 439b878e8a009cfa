"""Figures for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from deepanalyze.api.auth import check_administers, current_principal, documented
from deepanalyze.api.context import Runtime
from deepanalyze.api.schemas import failures
from deepanalyze.telemetry import CONTENT_TYPE

router = APIRouter(tags=["health"], dependencies=documented)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus's text format",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **failures(403),
    },
)
async def metrics(runtime: Runtime, request: Request) -> Response:
    """For administrators, unless `metrics_open` lets everybody read them."""
    if not runtime.settings.metrics_open:
        check_administers(await current_principal(request))
    return Response(runtime.telemetry.text(), media_type=CONTENT_TYPE)
