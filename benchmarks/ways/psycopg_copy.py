from __future__ import annotations

import asyncio
import os

import psycopg

from benchmarks.ways.inside import measured


async def main() -> None:
    async with (
        await psycopg.AsyncConnection.connect(os.environ["BENCH_DSN"]) as connection,
        connection.cursor() as cursor,
    ):
        with measured(), open(os.environ["BENCH_OUT"], "wb") as file:
            async with cursor.copy("COPY (SELECT * FROM bench) TO STDOUT (FORMAT csv, HEADER)") as copy:
                async for piece in copy:
                    file.write(piece)


asyncio.run(main())
