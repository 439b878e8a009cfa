"""How late the event loop runs what is due, in milliseconds, while this project exports three results at once."""

from __future__ import annotations

import asyncio
import json
import statistics
import time

from benchmarks.ways.inside import FORMAT, OUT, QUERY
from benchmarks.ways.this_project import ROWS, opened

EXPORTS = 3
INTERVAL_S = 0.002


async def main() -> None:
    async with opened() as connector:

        async def export(query: str) -> None:
            files = [OUT.with_name(f"{OUT.name}.{number}") for number in range(EXPORTS)]
            try:
                async with asyncio.TaskGroup() as group:
                    for file in files:
                        group.create_task(connector.export(file, query=query, format=FORMAT, max_rows=ROWS))
            finally:
                for file in files:
                    file.unlink(missing_ok=True)

        await export(f"{QUERY} LIMIT 1")
        exporting = asyncio.create_task(export(QUERY))
        delays = []
        while not exporting.done():
            due = time.perf_counter() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            delays.append((time.perf_counter() - due) * 1000)
        await exporting
    percentiles = statistics.quantiles(delays, n=100)
    print(json.dumps({"p50_ms": percentiles[49], "p99_ms": percentiles[98], "max_ms": max(delays)}))


asyncio.run(main())
