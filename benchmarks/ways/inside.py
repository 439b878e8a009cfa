"""Measuring a transfer inside its own process: wall time, CPU time, how much its peak memory grew, and how late the
event loop ran.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_INTERVAL_S = 0.002


@contextmanager
def measured() -> Iterator[None]:
    """Prints the figures as JSON."""
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


async def print_delays(work: Coroutine[Any, Any, object]) -> None:
    """How late the event loop runs what is due while `work` runs, in milliseconds, as JSON."""
    working = asyncio.create_task(work)
    delays = []
    while not working.done():
        due = time.perf_counter() + _INTERVAL_S
        await asyncio.sleep(_INTERVAL_S)
        delays.append((time.perf_counter() - due) * 1000)
    await working
    percentiles = statistics.quantiles(delays, n=100, method="inclusive")
    print(json.dumps({"p50_ms": percentiles[49], "p99_ms": percentiles[98], "max_ms": max(delays)}))


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])
