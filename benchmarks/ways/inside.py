"""Measuring a transfer inside its own process: wall time, CPU time and how much its peak memory grew."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

DSN = os.environ["BENCH_DSN"]
OUT = Path(os.environ["BENCH_OUT"])
FORMAT = os.environ["BENCH_FORMAT"]
QUERY = "SELECT * FROM bench"


def measure(transfer: Callable[[str, Path], object]) -> None:
    """Runs `transfer(query, file)` on one row first, so that nobody pays for libraries' first use."""
    with _rehearsal() as (query, file):
        transfer(query, file)
    with _measured():
        transfer(QUERY, OUT)


async def measure_async(transfer: Callable[[str, Path], Awaitable[object]]) -> None:
    with _rehearsal() as (query, file):
        await transfer(query, file)
    with _measured():
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


@contextmanager
def _measured() -> Iterator[None]:
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _status("VmRSS")
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    figures = {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "growth_mib": (_status("VmHWM") - before) / 1024,
    }
    print(json.dumps(figures))


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])
