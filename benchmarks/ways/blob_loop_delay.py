"""How late the event loop runs what is due while this project downloads a blob three times at once, or lists."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.ways import blobs
from benchmarks.ways.blob_this_project import Connector, opened
from benchmarks.ways.inside import print_delays

DOWNLOADS = 3


async def main() -> None:
    async with opened() as connector:
        way = Connector(connector)

        async def work(path: str) -> None:
            if blobs.TASK == "all":
                await way.list_all(path)
                return
            files = [Path(f"{blobs.OUT}.{number}") for number in range(DOWNLOADS)]
            try:
                async with asyncio.TaskGroup() as group:
                    for file in files:
                        group.create_task(way.download(path, file))
            finally:
                for file in files:
                    file.unlink(missing_ok=True)

        await work(blobs.REHEARSALS[blobs.TASK])
        await print_delays(work(blobs.PATH))


asyncio.run(main())
