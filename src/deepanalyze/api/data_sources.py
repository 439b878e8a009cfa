"""Data sources: make, see, test and delete them."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from deepanalyze.api.auth import CurrentPrincipal
from deepanalyze.api.bodies import JsonRoute
from deepanalyze.api.context import Runtime
from deepanalyze.api.errors import error_object, request_id_of
from deepanalyze.api.pagination import Cursor, Limit, cut, page
from deepanalyze.api.schemas import DataSource, DataSourceDeleted, Page, Validation, failures
from deepanalyze.api.services import Services
from deepanalyze.api.source_contents import SourceId
from deepanalyze.api.source_schemas import ConnectionTest
from deepanalyze.api.streaming import while_connected
from deepanalyze.datasources.changes import SourceChange
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.errors import InvalidRequest

router = APIRouter(prefix="/data-sources", tags=["data sources"], route_class=JsonRoute)


class NewDataSource(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "type": "postgresql",
                "name": "sales",
                "config": {
                    "host": "db.example.com",
                    "database": "sales",
                    "user": "analyst",
                    "password": "made-up",
                },
            }
        },
    )

    type: str = Field(description="one of the templates' types")
    name: str = Field(description="unique; `[a-z][a-z0-9_-]{0,40}`, not beginning with `ds-`")
    config: dict[str, JsonValue] = Field(description="what the type's template describes")
    id: str | None = Field(default=None, description="made when left out; shares the names' rules and space")
    metadata: dict[str, JsonValue] = Field(default_factory=dict, description="yours; kept as it is")
    test_connection: bool = Field(default=True, description="whether to connect before storing")
    shared: bool | None = Field(default=None, description="for all who have a grant; only administrators may")


class SourceChanges(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "sales", "config": {"query_timeout_s": 60}}}
    )

    name: str | None = Field(default=None, description="a new name")
    config: dict[str, JsonValue] | None = Field(
        default=None,
        description="only the fields that change; secrets that are left out, or sent masked, are kept; null takes a "
        "field away",
    )
    metadata: dict[str, JsonValue] | None = Field(default=None, description="in place of what was there")
    test_connection: bool = Field(
        default=True, description="whether to connect with a changed config before it is stored"
    )


class Draft(BaseModel):
    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "example": {"type": "postgresql", "name": "sales", "config": {"hst": "db.example.com"}}
        },
    )

    type: str | None = None
    name: str | None = None
    config: dict[str, JsonValue] = Field(default_factory=dict)


IfMatch = Annotated[
    str | None,
    Header(description="the `ETag` that an answer gave; the change is refused when it has another now"),
]


@router.post(
    "/validate",
    summary="Check the description of a data source, complete or not, and say what to fill in next",
    response_model=Validation,
    responses=failures(403),
)
async def validate(body: Draft, runtime: Runtime, principal: CurrentPrincipal) -> dict[str, Any]:
    """Stores nothing and connects nowhere."""
    found = runtime.sources.validate(principal, type=body.type, name=body.name, config=body.config)
    return dataclasses.asdict(found)


@router.post(
    "",
    summary="Add a data source, after connecting to it",
    status_code=201,
    response_model=DataSource,
    responses=failures(400, 403, 409, 424, 504),
)
async def create(
    body: NewDataSource, runtime: Runtime, principal: CurrentPrincipal, request: Request, response: Response
) -> dict[str, Any]:
    """Validates the config, then connects, then stores. What fails is not stored, and the answer says why."""
    creating = runtime.sources.create(
        principal,
        type=body.type,
        name=body.name,
        config=body.config,
        id=body.id,
        metadata=body.metadata,
        test_connection=body.test_connection,
        shared=body.shared,
    )
    return _tagged(response, runtime, await while_connected(request, creating))


@router.get(
    "",
    summary="List the data sources that you may see",
    response_model=Page[DataSource],
    responses=failures(),
)
async def list_sources(
    runtime: Runtime,
    principal: CurrentPrincipal,
    type: Annotated[str | None, Query(description="only sources of this type")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Those that you may see, by name; never a secret."""
    sources = runtime.sources.list(principal, type)
    some, next_cursor = cut(sources, lambda source: source.name, limit, cursor)
    return page([_source(runtime, source) for source in some], next_cursor)


@router.get(
    "/{id}",
    summary="Get a data source, without its secrets",
    response_model=DataSource,
    responses=failures(404),
)
async def get_source(
    id: SourceId, runtime: Runtime, principal: CurrentPrincipal, response: Response
) -> dict[str, Any]:
    """Its `ETag` is for `If-Match` when it is changed."""
    return _tagged(response, runtime, runtime.sources.get(principal, id))


@router.patch(
    "/{id}",
    summary="Change a data source",
    response_model=DataSource,
    responses=failures(400, 403, 404, 409, 412, 424, 504),
)
async def change(
    id: SourceId,
    body: SourceChanges,
    runtime: Runtime,
    principal: CurrentPrincipal,
    request: Request,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """What is left out stays as it is, secrets too. A changed config is validated and connected with before it is
    stored; what fails changes nothing. Running work ends with the old connection, later work has the new one.
    """
    wanted = SourceChange(body.name, body.config, body.metadata, body.test_connection)
    changing = runtime.sources.update(principal, id, wanted, expected_version=_version(if_match))
    return _tagged(response, runtime, await while_connected(request, changing))


@router.delete(
    "/{id}",
    summary="Delete a data source and close its connections",
    response_model=DataSourceDeleted,
    responses=failures(403, 404),
)
async def delete(id: SourceId, runtime: Runtime, principal: CurrentPrincipal) -> dict[str, Any]:
    """Forgets the source and closes its connections."""
    return {"id": await runtime.sources.delete(principal, id), "deleted": True}


@router.post(
    "/{id}/test",
    summary="Connect to a data source and tell how it went",
    response_model=ConnectionTest,
    responses=failures(400, 403, 404),
)
async def check(
    id: SourceId,
    runtime: Runtime,
    principal: CurrentPrincipal,
    request: Request,
    deep: Annotated[
        bool, Query(description="also certify what the credentials could do; for who manages the source")
    ] = False,
) -> dict[str, Any]:
    """Connects and asks the source something. HTTP 200 either way; `status` and `error` tell how it went. `deep` tries
    what the credentials could do by themselves, without leaving a trace, and grades them.
    """
    source = runtime.sources.get(principal, id)
    result = await while_connected(request, runtime.sources.test(principal, source.id, deep=deep))
    return {
        "id": source.id,
        "status": result.status,
        "latency_ms": result.latency_ms,
        "server": dict(result.server),
        "error": result.error and error_object(result.error, request_id_of(request)),
        "certificate": result.certificate and dataclasses.asdict(result.certificate),
    }


def _tagged(response: Response, runtime: Services, source: StoredSource) -> dict[str, Any]:
    response.headers["ETag"] = f'"{source.version}"'
    return _source(runtime, source)


def _version(if_match: str | None) -> int | None:
    """Raises InvalidRequest for what is no ETag of ours; `*` matches whatever is there."""
    if if_match is None or if_match.strip() == "*":
        return None
    tag = if_match.strip().removeprefix("W/").strip('"')
    if not tag.isascii() or not tag.isdecimal() or len(tag) > 18:
        raise InvalidRequest("If-Match is no ETag that this server gave", param="If-Match")
    return int(tag)


def _source(runtime: Services, source: StoredSource) -> dict[str, Any]:
    config = runtime.sources.public_config(source)
    return {
        "id": source.id,
        "object": "data_source",
        "type": source.type,
        "name": source.name,
        "config": config,
        "metadata": dict(source.metadata),
        "read_only": config.get("read_only", True),
        "created_at": source.created_at,
        "updated_at": source.updated_at,
        "created_by": source.created_by,
        "shared": source.shared,
        "origin": source.origin,
        "status": source.status,
        "last_tested_at": source.last_tested_at,
    }
