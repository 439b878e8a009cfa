"""What the guard costs a query: the first time it sees a text, and when it remembers the verdict."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg

from deepanalyze.datasources.connectors.postgresql.verdicts import Guard
from deepanalyze.devservices import open_services

RUNS = 500
PATH = ("pg_catalog", "public")
QUERY = (
    "SELECT c.name, date_trunc('month', o.ordered_at) AS month, count(*) AS orders, sum(o.amount) AS revenue, "
    "avg(o.amount)::numeric(12,2) AS mean FROM sales.orders o JOIN sales.customers c ON c.id = o.customer_id "
    "WHERE o.ordered_at >= now() - interval '1 year' AND c.country IN ('DE','FR') GROUP BY 1, 2 LIMIT {}"
)


def main() -> None:
    asyncio.run(_main())


async def _main() -> None:
    with tempfile.TemporaryDirectory(prefix="deepanalyze-bench-") as directory:
        async with open_services(Path(directory) / "services") as services:
            dsn = services.postgres.dsn("postgres")
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:

                async def look_up(query, parameters):  # type: ignore[no-untyped-def]
                    return await (await connection.execute(query, parameters or None)).fetchall()

                guard = Guard("bench")
                # The catalogue is known from here on
                await guard.check(look_up, QUERY.format(0), PATH, snapshot="1:1:")
                texts = iter(QUERY.format(number) for number in range(1, RUNS + 2))
                uncached = await _median_us(lambda: guard.check(look_up, next(texts), PATH, snapshot="1:1:"))
                cached = await _median_us(
                    lambda: guard.check(look_up, QUERY.format(0), PATH, snapshot="1:1:")
                )
    print(
        f"guard, {len(QUERY)} characters: uncached {uncached:.0f} µs, cached {cached:.1f} µs (median of {RUNS})"
    )


async def _median_us(action: Callable[[], Awaitable[object]]) -> float:
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        await action()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


if __name__ == "__main__":
    main()
