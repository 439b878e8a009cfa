"""The models that this server offers, as OpenAI's API lists them."""

from __future__ import annotations

import dataclasses
from typing import Any

from fastapi import APIRouter

from deepanalyze.analysis.models.base import ModelInfo
from deepanalyze.api.auth import CurrentPrincipal
from deepanalyze.api.context import Runtime
from deepanalyze.api.pagination import page
from deepanalyze.api.schemas import Model, Page, failures
from deepanalyze.errors import ModelNotFound

router = APIRouter(tags=["models"])


@router.get("/models", summary="List the models", response_model=Page[Model], responses=failures(502))
async def list_models(runtime: Runtime, _: CurrentPrincipal) -> dict[str, Any]:
    """Every configured model and what each model server lists, and the built-in profiler."""
    return page([_model(info) for info in await runtime.models.list()])


@router.get(
    "/models/{model_id:path}", summary="Get one model", response_model=Model, responses=failures(404, 502)
)
async def get_model(model_id: str, runtime: Runtime, _: CurrentPrincipal) -> dict[str, Any]:
    """The id may hold slashes."""
    known = await runtime.models.list()
    for info in known:
        if info.id == model_id:
            return _model(info)
    raise ModelNotFound(
        f"there is no model {model_id[:200]!r}; there are: {', '.join(info.id for info in known)}",
        param="model",
    )


def _model(info: ModelInfo) -> dict[str, Any]:
    return {**dataclasses.asdict(info), "object": "model"}
