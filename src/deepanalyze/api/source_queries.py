"""SQL, answered as JSON or as a stream."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from deepanalyze.access import Question
from deepanalyze.accounts import Principal
from deepanalyze.api.auth import CurrentPrincipal
from deepanalyze.api.bodies import JsonRoute
from deepanalyze.api.context import Runtime
from deepanalyze.api.exports import ExportedFile
from deepanalyze.api.large_json import large_json
from deepanalyze.api.negotiation import chosen
from deepanalyze.api.params import named
from deepanalyze.api.schemas import failures
from deepanalyze.api.services import Services
from deepanalyze.api.source_contents import SourceId, table_object
from deepanalyze.api.source_schemas import QueryAnswer
from deepanalyze.api.streaming import while_connected
from deepanalyze.datadir import DataDir
from deepanalyze.datasources.capabilities import Exported, FileFormat
from deepanalyze.errors import ReadOnlyViolation

router = APIRouter(prefix="/data-sources", tags=["data sources"], route_class=JsonRoute)

JSON, CSV, ARROW = "application/json", "text/csv", "application/vnd.apache.arrow.stream"
_FILES: dict[str, FileFormat] = {CSV: "csv", ARROW: "arrow"}
_COUNTED = {
    "X-Row-Count": {"description": "rows of a stream", "schema": {"type": "integer"}},
    "X-Truncated": {"description": "whether there are more rows", "schema": {"type": "boolean"}},
}


class QueryBody(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "sql": "SELECT region, sum(amount) AS amount FROM sales.orders WHERE placed >= $1 GROUP BY region",
                "params": ["2025-01-01"],
                "max_rows": 1000,
                "timeout_s": 30,
            }
        },
    )

    sql: str = Field(min_length=1, description="one statement")
    params: list[JsonValue] = Field(default_factory=list, description="the values of `$1`, `$2` …")
    max_rows: Annotated[int, Field(strict=True, ge=1)] | None = Field(
        default=None, description="rows of the answer; the source's limit when left out"
    )
    timeout_s: Annotated[float, Field(strict=True, gt=0)] | None = Field(
        default=None, description="the source's limit when left out, and never above the server's"
    )

    def question(self) -> Question:
        return Question(self.sql, self.params, self.max_rows, self.timeout_s)


@router.post(
    "/{id}/query",
    summary="Run one SQL statement: JSON, CSV or an Arrow stream, as `Accept` says",
    response_model=QueryAnswer,
    responses={
        200: {
            "headers": _COUNTED,
            "content": {
                CSV: {"schema": {"type": "string"}, "example": "region,amount\nnorth,10.50\nsouth,\n"},
                ARROW: {"schema": {"type": "string", "format": "binary"}},
            },
        },
        **failures(400, 403, 404, 409, 424, 504),
    },
)
async def query(
    id: SourceId,
    body: QueryBody,
    runtime: Runtime,
    principal: CurrentPrincipal,
    request: Request,
    accept: Annotated[str | None, Header(description=f"`{JSON}`, `{CSV}` or `{ARROW}`")] = None,
) -> Response:
    """Reads; in a writable source those who may write also run one INSERT, UPDATE, DELETE or MERGE, as JSON only.
    Closing the connection stops the statement on the source's server.
    """
    media_type = chosen(accept, (JSON, CSV, ARROW))
    if media_type != JSON:
        return _stream(runtime, principal, id, body.question(), media_type)
    started = time.perf_counter()
    with named(query="sql"):
        table = await while_connected(request, runtime.sources.query(principal, id, body.question()))
    return await large_json(
        {
            **table_object(table),
            "row_count": len(table.rows),
            "rows_affected": table.rows_affected,
            "elapsed_ms": round((time.perf_counter() - started) * 1000),
        }
    )


def _stream(
    runtime: Services, principal: Principal, id: str, question: Question, media_type: str
) -> ExportedFile:
    format = _FILES[media_type]

    async def export(destination: Path) -> Exported:
        with named(query="sql", format="Accept"):
            try:
                return await runtime.sources.export(principal, id, question, destination, format)
            except ReadOnlyViolation as error:
                words = f"{error.message} (CSV and Arrow are for statements that read)"
                raise ReadOnlyViolation(words, param=error.param, details=error.details) from error

    return ExportedFile(
        DataDir(runtime.settings.data_dir).files, export, media_type=media_type, filename=f"query.{format}"
    )
