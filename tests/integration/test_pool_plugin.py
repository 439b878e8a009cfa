"""The library's pool over connectors of a real server."""

from __future__ import annotations

import asyncio

import pytest

from deepanalyze.datasources import (
    ConnectionPoolManager,
    DataSourceConfig,
    PoolConfig,
    PostgreSQLConnector,
    SourceUnavailable,
)
from tests.support.postgres_sources import run_sql
from tests.support.services import PostgresDatabase


@pytest.mark.requirement("2.7")
@pytest.mark.requirement("10.3")
async def test_connectors_of_a_real_server_are_pooled(postgres_database: PostgresDatabase) -> None:
    config = {**postgres_database.analyst_config, "pool_min_size": 1, "pool_max_size": 1}

    def make() -> PostgreSQLConnector:
        return PostgreSQLConnector(DataSourceConfig("pg", "postgresql", "pg", config))

    async with ConnectionPoolManager(PoolConfig(max_size=3, min_size=0, health_check_interval=0)) as manager:
        pool = await manager.get_pool(data_source_id="pg", connector_factory=make)

        async def use(number: int) -> int:
            async with pool.connection() as pooled:
                assert isinstance(pooled.connector, PostgreSQLConnector)
                return int((await pooled.connector.query("SELECT $1::int AS n", params=[number]))["n"][0])

        assert await asyncio.gather(*(use(number) for number in range(30))) == list(range(30))
        assert 1 <= manager.get_pool_stats("pg")["opened"] <= 3
        async with pool.connection() as pooled:
            assert isinstance(pooled.connector, PostgreSQLConnector)
            manager.adopt("native", pooled.connector)
            assert manager.get_pool_stats("native")["max_size"] == 1
        run_sql(
            postgres_database.admin_dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        assert await use(7) == 7
    left = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    async with asyncio.timeout(20):
        while run_sql(postgres_database.admin_dsn, left) != [(0,)]:  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.02)
    with pytest.raises(SourceUnavailable):
        await pool.acquire()
