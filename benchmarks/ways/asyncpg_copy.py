from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

from benchmarks.ways.query import measure_async, uri


async def main() -> None:
    connection = await asyncpg.connect(uri())

    async def transfer(query: str, file: Path) -> None:
        await connection.copy_from_query(query, output=file, format="csv", header=True)

    await measure_async(transfer)
    await connection.close()


asyncio.run(main())
