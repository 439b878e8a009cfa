"""The shapes of what data sources hold, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from deepanalyze.api.schemas import ErrorObject

_COLUMNS: list[Any] = [{"name": "region", "type": "text"}, {"name": "amount", "type": "numeric(10,2)"}]
_RELATION: Any = {
    "name": "orders",
    "path": "sales.orders",
    "kind": "table",
    "comment": None,
    "estimated_rows": 120000,
    "size": 9437184,
    "primary_key": ["id"],
    "columns": [{"name": "id", "type": "bigint", "nullable": False, "comment": None}],
}


class ColumnName(BaseModel):
    name: str
    type: str = Field(description="in the source's own words")


class TableAnswer(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {"columns": _COLUMNS, "rows": [["north", 10.5], ["south", None]], "truncated": True}
        }
    )

    columns: list[ColumnName]
    rows: list[list[Any]] = Field(
        description="values as JSON has them; what it cannot hold exactly is text: large decimals, times, NaN"
    )
    truncated: bool = Field(description="whether there are more rows")


class QueryAnswer(TableAnswer):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "columns": _COLUMNS,
                "rows": [["north", 10.5], ["south", None]],
                "truncated": False,
                "row_count": 2,
                "rows_affected": None,
                "elapsed_ms": 12,
            }
        }
    )

    row_count: int = Field(description="of `rows`")
    rows_affected: int | None = Field(description="by a statement that writes; null for one that reads")
    elapsed_ms: int


class Metadata(BaseModel):
    """Further fields depend on what the item is."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "name": "orders",
                "path": "sales.orders",
                "schema": "sales",
                "kind": "table",
                "comment": "one row for each order",
                "columns": [
                    {
                        "name": "id",
                        "type": "bigint",
                        "nullable": False,
                        "default": None,
                        "comment": None,
                        "ordinal": 1,
                    }
                ],
                "primary_key": {"name": "orders_pkey", "columns": ["id"]},
                "foreign_keys": [],
                "unique_constraints": [],
                "check_constraints": [],
                "indexes": [],
                "estimated_rows": 120000,
                "size": 9437184,
                "cached_at": 1767225600,
            }
        },
    )

    cached_at: int = Field(description="when the source was asked for it")


class SchemaAnswer(BaseModel):
    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "schemas": [{"name": "sales", "comment": None, "relations": [_RELATION]}],
                "relationships": [
                    {
                        "name": "orders_customer_fkey",
                        "from": {"schema": "sales", "table": "orders", "columns": ["customer_id"]},
                        "to": {"schema": "sales", "table": "customers", "columns": ["id"]},
                    }
                ],
                "cached_at": 1767225600,
            }
        },
    )

    schemas: list[dict[str, Any]]
    relationships: list[dict[str, Any]] = Field(description="foreign keys, also across schemas")
    cached_at: int


class ColumnStatisticsAnswer(BaseModel):
    name: str
    type: str
    count: int = Field(description="of values that are not NULL")
    nulls: int
    min: Any
    max: Any
    mean: float | None
    stddev: float | None = Field(description="of a sample")
    distinct: int | None


class StatisticsAnswer(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "row_count": 3,
                "estimated": False,
                "columns": [
                    {
                        "name": "amount",
                        "type": "numeric(10,2)",
                        "count": 2,
                        "nulls": 1,
                        "min": 10.5,
                        "max": 20,
                        "mean": 15.25,
                        "stddev": 6.717514421272202,
                        "distinct": 2,
                    }
                ],
                "cached_at": 1767225600,
            }
        }
    )

    row_count: int
    estimated: bool = Field(description="whether a sample stands for the whole")
    columns: list[ColumnStatisticsAnswer]
    cached_at: int


class FindingAnswer(BaseModel):
    check: str
    allowed: bool | None = Field(description="whether the source's server lets the credential; null: unknown")
    severity: Literal["high", "medium", "low", "none"]
    evidence: str
    blocked: str = Field(description="how this server keeps it from happening all the same")


class CertificateAnswer(BaseModel):
    grade: Literal["A", "B", "C", "D"] = Field(
        description="`A`: the credential can read and nothing else, … `D`: it could take over the server"
    )
    summary: str
    findings: list[FindingAnswer]
    script: str = Field(description="SQL that makes a credential which needs no guard")
    details: dict[str, Any]


class ConnectionTest(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "ds-0f5c4d2e9b3a4c1d8e7f6a5b",
                "status": "success",
                "latency_ms": 8.1,
                "server": {"product": "PostgreSQL", "version": "18.0", "database": "sales", "tls": True},
                "error": None,
                "certificate": None,
            }
        }
    )

    id: str
    status: Literal["success", "failure"]
    latency_ms: float
    server: dict[str, Any] = Field(
        description="what the source says of itself, such as its version, and `warnings` of what ends soon"
    )
    error: ErrorObject | None
    certificate: CertificateAnswer | None = Field(description="of `deep=true`")
