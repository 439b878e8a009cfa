"""A database of 10,000 tables with ten columns each: how long its discovery takes, on a connection that knows nothing
yet and again, and for how long at a time the event loop is held meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg

from deepanalyze.datasources import DataSourceConfig, PostgreSQLConnector
from deepanalyze.datasources.browse import browse
from deepanalyze.devservices.postgres import PostgresServer, open_postgres
from deepanalyze.devservices.state import open_directory

TABLES = int(os.environ.get("BENCH_TABLES", 10_000))
ROUNDS = 5
LIST_LIMIT_S = 1.0
BATCH = 250

TABLE = """
CREATE TABLE wide.t{n} (id int PRIMARY KEY, code varchar(20) NOT NULL, amount numeric(10, 2) DEFAULT 0, at timestamptz,
  parent int REFERENCES wide.t0, facts jsonb, flag bool, day date, ratio float8, note text);
"""

Call = Callable[[PostgreSQLConnector], Awaitable[Any]]
CALLS: dict[str, Call] = {
    "list_items of the schema": lambda source: source.list_items("wide"),
    "browse, one page of 100": lambda source: browse(source, "wide"),
    "schema()": lambda source: source.schema(),
    "get_metadata of a table": lambda source: source.get_metadata("wide.t7"),
    "preview of a table": lambda source: source.preview("wide.t7"),
}


def main() -> None:
    asyncio.run(_main())


async def _main() -> None:
    with tempfile.TemporaryDirectory(prefix="deepanalyze-bench-") as path:
        async with (
            open_directory(Path(path) / "services") as directory,
            open_postgres(directory, durable=False) as server,
        ):
            await server.create_database("bench")
            await asyncio.to_thread(_make_tables, server.dsn("bench"))
            await _measure(server)


def _make_tables(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA wide; GRANT USAGE ON SCHEMA wide TO analyst")
        for start in range(0, TABLES, BATCH):
            batch = "".join(TABLE.format(n=n) for n in range(start, min(start + BATCH, TABLES)))
            connection.execute(batch.encode())
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA wide TO analyst")
        connection.execute(
            "VACUUM ANALYZE pg_catalog.pg_class, pg_catalog.pg_attribute, pg_catalog.pg_constraint"
        )


async def _measure(server: PostgresServer) -> None:
    print(f"\n{TABLES:,} tables of ten columns (a connection's first call, then the median of {ROUNDS} more)")
    print(f"{'':28}{'first s':>9}{'again s':>9}{'JSON MiB':>10}{'loop held ms':>14}")
    for name, call in CALLS.items():
        async with _source(server) as source:
            times, held_ms, size_mib = await _timed(source, call)
        print(f"{name:28}{times[0]:9.3f}{statistics.median(times[1:]):9.3f}{size_mib:10.1f}{held_ms:14.1f}")
        if name.startswith("list_items") and max(times) > LIST_LIMIT_S:
            print(f"  over the limit of {LIST_LIMIT_S:g} s")


@contextlib.asynccontextmanager
async def _source(server: PostgresServer) -> AsyncIterator[PostgreSQLConnector]:
    config = {**server.analyst_config("bench"), "pool_min_size": 1, "pool_max_size": 1}
    async with PostgreSQLConnector(DataSourceConfig("bench", "postgresql", "bench", config)) as source:
        yield source


async def _timed(source: PostgreSQLConnector, call: Call) -> tuple[list[float], float, float]:
    """The seconds of each call, the longest time that the loop was held, and the size of the answer."""
    held_ms = 0.0

    async def watch() -> None:
        nonlocal held_ms
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            held_ms = max(held_ms, (time.perf_counter() - began) * 1000 - 1)

    watching = asyncio.create_task(watch())
    times = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        answer = await call(source)
        times.append(time.perf_counter() - began)
    watching.cancel()
    return times, held_ms, len(json.dumps(answer, default=lambda item: repr(item))) / 2**20


if __name__ == "__main__":
    main()
