"""What a data source holds: lists, descriptions, first rows and statistics."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from deepanalyze.api.auth import CurrentPrincipal
from deepanalyze.api.context import Runtime
from deepanalyze.api.large_json import large_json
from deepanalyze.api.pagination import Cursor, Limit, page
from deepanalyze.api.params import named
from deepanalyze.api.schemas import Item, Page, failures
from deepanalyze.api.source_schemas import Metadata, SchemaAnswer, StatisticsAnswer, TableAnswer
from deepanalyze.api.streaming import while_connected
from deepanalyze.datasources.capabilities import Table

router = APIRouter(prefix="/data-sources", tags=["data sources"])

SourceId = Annotated[str, Path(description="the source's id or name")]
ItemPath = Annotated[
    str,
    Query(
        min_length=1,
        max_length=4096,
        description="a blob's or file's name, or `schema.table` in SQL's own quoting",
        examples=["sales.orders"],
    ),
]
Refresh = Annotated[bool, Query(description="asks the source again, whatever is remembered")]


@router.get(
    "/{id}/browse",
    summary="List what a data source holds",
    response_model=Page[Item],
    responses=failures(400, 403, 404, 424, 504),
)
async def browse(
    id: SourceId,
    runtime: Runtime,
    principal: CurrentPrincipal,
    request: Request,
    path: Annotated[str | None, Query(description="a prefix or a schema; the top when left out")] = None,
    recursive: Annotated[bool, Query(description="with all that lies below")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """What the source holds: folders and blobs or files, or schemas and their relations, by path."""
    browsing = runtime.sources.browse(principal, id, path, recursive, limit, cursor)
    with named(table="path"):
        found = await while_connected(request, browsing)
    return page([dataclasses.asdict(item) for item in found.items], found.next_cursor)


@router.get(
    "/{id}/metadata",
    summary="Describe one table, view or blob",
    response_model=Metadata,
    responses=failures(400, 403, 404, 424, 504),
)
async def metadata(
    id: SourceId,
    path: ItemPath,
    runtime: Runtime,
    principal: CurrentPrincipal,
    request: Request,
    refresh: Refresh = False,
) -> Response:
    """A table's columns, keys, constraints and indexes, its estimated rows and size; a blob's or file's properties."""
    describing = runtime.sources.metadata(principal, id, path, refresh=refresh)
    with named(table="path"):
        found = await while_connected(request, describing)
    return await large_json({**found.value, "cached_at": found.cached_at})


@router.get(
    "/{id}/schema",
    summary="Describe a whole database: schemas, relations and how they relate",
    response_model=SchemaAnswer,
    responses=failures(400, 403, 404, 424, 504),
)
async def schema(
    id: SourceId,
    runtime: Runtime,
    principal: CurrentPrincipal,
    request: Request,
    refresh: Refresh = False,
) -> Response:
    """Every relation that the source's role may read, with its columns and primary key, and the foreign keys."""
    found = await while_connected(request, runtime.sources.schema(principal, id, refresh=refresh))
    return await large_json({**found.value, "cached_at": found.cached_at})


@router.get(
    "/{id}/preview",
    summary="Show the first rows of a table or file",
    response_model=TableAnswer,
    responses=failures(400, 403, 404, 424, 504),
)
async def preview(
    id: SourceId,
    path: ItemPath,
    runtime: Runtime,
    principal: CurrentPrincipal,
    request: Request,
    limit: Annotated[
        int | None, Query(ge=1, le=1000, description="rows; DEEPANALYZE_PREVIEW_ROWS when left out")
    ] = None,
) -> Response:
    """Of a relation, or of a CSV, TSV, JSON, JSON Lines, Parquet or Excel file. Values longer than 1,000 characters are
    cut, and end in an ellipsis.
    """
    rows = limit or runtime.settings.preview_rows
    with named(table="path"):
        table = await while_connected(request, runtime.sources.preview(principal, id, path, rows))
    return await large_json(table_object(table))


@router.get(
    "/{id}/statistics",
    summary="Compute statistics of the columns of a table or file",
    response_model=StatisticsAnswer,
    responses=failures(400, 403, 404, 424, 504),
)
async def statistics(
    id: SourceId,
    path: ItemPath,
    runtime: Runtime,
    principal: CurrentPrincipal,
    request: Request,
    refresh: Refresh = False,
) -> Response:
    """Of a relation computed by the source itself, of a large one on a sample: then `estimated` is true. Of a file
    computed on all of it.
    """
    computing = runtime.sources.statistics(principal, id, path, refresh=refresh)
    with named(table="path"):
        found = await while_connected(request, computing)
    return await large_json({**dataclasses.asdict(found.value), "cached_at": found.cached_at})


def table_object(table: Table) -> dict[str, Any]:
    return {
        "columns": [{"name": column.name, "type": column.type} for column in table.columns],
        "rows": table.rows,
        "truncated": table.truncated,
    }
