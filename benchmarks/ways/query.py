"""What the ways to a query's result share: where the database is, what is asked, and a rehearsal on one row."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from benchmarks.ways.inside import measured

DSN = os.environ["BENCH_DSN"]
OUT = Path(os.environ["BENCH_OUT"])
FORMAT = os.environ["BENCH_FORMAT"]
QUERY = "SELECT * FROM bench"


def measure(transfer: Callable[[str, Path], object]) -> None:
    """Runs `transfer(query, file)` on one row first, so that nobody pays for libraries' first use."""
    with _rehearsal() as (query, file):
        transfer(query, file)
    with measured():
        transfer(QUERY, OUT)


async def measure_async(transfer: Callable[[str, Path], Awaitable[object]]) -> None:
    with _rehearsal() as (query, file):
        await transfer(query, file)
    with measured():
        await transfer(QUERY, OUT)


def uri() -> str:
    """For those who take no other form."""
    parts = conninfo_to_dict(DSN)
    password = quote(str(parts.get("password") or ""), safe="")
    return f"postgresql://{parts['user']}:{password}@{parts['host']}:{parts['port']}/{parts['dbname']}"


@contextmanager
def _rehearsal() -> Iterator[tuple[str, Path]]:
    file = OUT.with_name("rehearsal")
    try:
        yield f"{QUERY} LIMIT 1", file
    finally:
        file.unlink(missing_ok=True)
