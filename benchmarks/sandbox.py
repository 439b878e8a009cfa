"""A code step: in a warm sandboxed kernel, and in the fresh Python process that other systems start for each."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.measure import python
from deepanalyze.sandbox import KernelLimits, open_sandbox
from deepanalyze.workspace import Workspace, sandbox_uid

STEPS = 20
STEP = "import pandas as pd, matplotlib.pyplot as plt; print(pd.DataFrame({'a': range(1000)}).a.mean())"


def main() -> None:
    for mode in ("bubblewrap", "landlock"):
        asyncio.run(_measure(mode))
    times = [
        _timed(lambda: subprocess.run(python("-c", STEP), check=True, capture_output=True)) for _ in range(5)
    ]
    print(f"a fresh Python process with the same step: median {statistics.median(times) * 1000:.0f} ms")


async def _measure(mode: str) -> None:
    with tempfile.TemporaryDirectory(prefix="deepanalyze-bench-") as directory:
        home = Path(directory)
        home.chmod(0o711)
        sandbox = await open_sandbox(mode, limits=KernelLimits(), python=None)
        workspace = Workspace(home / "work", home / "staging", owner_uid=sandbox_uid("thread-bench"))
        workspace.create()
        began = time.perf_counter()
        kernel = await sandbox.start_kernel(workspace)
        try:
            await kernel.execute("pass", timeout_s=60)
            started_s = time.perf_counter() - began
            began = time.perf_counter()
            await kernel.execute(STEP, timeout_s=60)
            first_s = time.perf_counter() - began
            times = []
            for _ in range(STEPS):
                began = time.perf_counter()
                result = await kernel.execute(STEP, timeout_s=60)
                times.append(time.perf_counter() - began)
                assert "499.5" in result.output
        finally:
            await kernel.close()
            workspace.delete()
    print(
        f"{sandbox.isolation.name}: start {started_s:.2f} s, first step with imports {first_s * 1000:.0f} ms, "
        f"warm step median {statistics.median(times) * 1000:.1f} ms (of {STEPS})"
    )


def _timed(action: object) -> float:
    began = time.perf_counter()
    action()  # type: ignore[operator]
    return time.perf_counter() - began
