"""How late the event loop runs what is due, in milliseconds, while this project exports three results at once."""

from __future__ import annotations

import asyncio

from benchmarks.ways.inside import print_delays
from benchmarks.ways.query import FORMAT, OUT, QUERY
from benchmarks.ways.this_project import ROWS, opened

EXPORTS = 3


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
        await print_delays(export(QUERY))


asyncio.run(main())
