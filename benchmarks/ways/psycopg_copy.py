from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg

from benchmarks.ways.query import DSN, measure_async


async def main() -> None:
    async with await psycopg.AsyncConnection.connect(DSN) as connection, connection.cursor() as cursor:

        async def transfer(query: str, file: Path) -> None:
            with file.open("wb") as opened:
                async with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)".encode()) as copy:
                    async for piece in copy:
                        opened.write(piece)

        await measure_async(transfer)


asyncio.run(main())
