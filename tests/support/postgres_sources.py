"""A connector on a database of its own, for the tests of the PostgreSQL source."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg

from deepanalyze.datasources import (
    DataSourceConfig,
    Limits,
    PoolLimits,
    PostgreSQLConnector,
    RetryPolicy,
    SourceDefaults,
    Timeouts,
)
from tests.support.services import PostgresDatabase

RETRIES = RetryPolicy(max_attempts=2, base_delay_s=0.01, max_delay_s=0.05)


def defaults(*, limits: Limits | None = None, timeouts: Timeouts | None = None) -> SourceDefaults:
    return SourceDefaults(limits or Limits(), timeouts or Timeouts(), RETRIES, PoolLimits(min_size=1))


@asynccontextmanager
async def postgres(
    config: dict[str, Any], source_defaults: SourceDefaults | None = None, **changes: Any
) -> AsyncIterator[PostgreSQLConnector]:
    connector = PostgreSQLConnector(DataSourceConfig("pg", "postgresql", "pg", {**config, **changes}))
    connector.defaults = source_defaults or defaults()
    async with connector:
        yield connector


def superuser_config(database: PostgresDatabase) -> dict[str, Any]:
    """Rights do not hold a superuser back: what stops it here is ours."""
    return {"connection_string": database.admin_dsn}


def run_sql(dsn: str, *statements: LiteralString) -> list[tuple[Any, ...]]:
    """As the owner of the database; gives the rows of the last statement."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
