from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.ways.query import DSN, FORMAT, measure_async
from deepanalyze.datasources import DataSourceConfig, PostgreSQLConnector

ROWS = int(os.environ["BENCH_ROWS"])


@asynccontextmanager
async def opened() -> AsyncIterator[PostgreSQLConnector]:
    config = {"connection_string": DSN, "query_timeout_s": 600, "max_rows": ROWS}
    async with PostgreSQLConnector(DataSourceConfig("bench", "postgresql", "bench", config)) as connector:
        yield connector


async def main() -> None:
    async with opened() as connector:

        async def transfer(query: str, file: Path) -> None:
            await connector.export(file, query=query, format=FORMAT, max_rows=ROWS)

        await measure_async(transfer)


if __name__ == "__main__":
    asyncio.run(main())
