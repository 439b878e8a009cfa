from __future__ import annotations

import asyncio
import os
from pathlib import Path

from benchmarks.ways.inside import measured
from deepanalyze.datasources import DataSourceConfig, PostgreSQLConnector


async def main() -> None:
    rows = int(os.environ["BENCH_ROWS"])
    config = {"connection_string": os.environ["BENCH_DSN"], "query_timeout_s": 600, "max_rows": rows}
    source = DataSourceConfig(id="bench", type="postgresql", name="bench", config=config)
    async with PostgreSQLConnector(source) as connector:
        await connector.query("SELECT 1 AS one")
        with measured():
            await connector.export(Path(os.environ["BENCH_OUT"]), query="SELECT * FROM bench", max_rows=rows)


asyncio.run(main())
