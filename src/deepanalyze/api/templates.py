"""What each type of data source needs to know."""

from __future__ import annotations

import dataclasses
from typing import Any

from fastapi import APIRouter

from deepanalyze.api.auth import CurrentPrincipal
from deepanalyze.api.context import Runtime
from deepanalyze.api.pagination import page
from deepanalyze.api.schemas import Page, Template, failures

router = APIRouter(prefix="/data-sources/templates", tags=["data sources"])


@router.get(
    "",
    summary="List the types of sources and what each needs to know",
    response_model=Page[Template],
    responses=failures(),
)
async def list_templates(runtime: Runtime, _: CurrentPrincipal) -> dict[str, Any]:
    """One for each type: every parameter described, secrets and required ones marked, with examples."""
    return page([dataclasses.asdict(template) for template in runtime.sources.templates()])


@router.get(
    "/{type}",
    summary="Get what one type of source needs to know",
    response_model=Template,
    responses=failures(404),
)
async def get_template(type: str, runtime: Runtime, _: CurrentPrincipal) -> dict[str, Any]:
    return dataclasses.asdict(runtime.sources.template(type))
