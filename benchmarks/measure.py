"""Timing whole processes fairly: interleaved runs, the operating system's own accounting, medians and ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Run:
    """One finished process: seconds of wall time, seconds of CPU, MiB of peak memory."""

    wall_s: float
    cpu_s: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Contestant:
    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None


def run(contestant: Contestant) -> Run:
    """Raises CalledProcessError with what it printed when it fails: a failed run has no figures."""
    began = time.perf_counter()
    process = subprocess.Popen(
        contestant.command,
        cwd=ROOT,
        env={**os.environ, **(contestant.environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode != 0:
        raise subprocess.CalledProcessError(
            process.returncode, contestant.command, output.decode(errors="replace")
        )
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def compare(title: str, contestants: Sequence[Contestant], *, rounds: int = 5) -> dict[str, list[Run]]:
    """Runs all in turn, `rounds` times after a warm-up, and prints medians and ratios to the first one."""
    runs: dict[str, list[Run]] = {c.name: [] for c in contestants}
    for counted in [False] + [True] * rounds:
        for contestant in contestants:
            figures = run(contestant)
            if counted:
                runs[contestant.name].append(figures)
    print(f"\n{title} (median of {rounds} interleaved runs)")
    print(f"{'':32}{'wall s':>9}{'ratio':>8}{'cpu s':>9}{'ratio':>8}{'peak MiB':>10}")
    first = contestants[0].name
    for name, figures_of in runs.items():
        print(
            f"{name:32}{median(figures_of, 'wall_s'):9.3f}{ratio(runs, name, first, 'wall_s'):8.2f}"
            f"{median(figures_of, 'cpu_s'):9.3f}{ratio(runs, name, first, 'cpu_s'):8.2f}"
            f"{median(figures_of, 'peak_mib'):10.1f}"
        )
    return runs


def median(runs: Sequence[Run], figure: str) -> float:
    return statistics.median(getattr(r, figure) for r in runs)


def ratio(runs: Mapping[str, Sequence[Run]], name: str, first: str, figure: str) -> float:
    """The median of the ratios round by round, so that a drifting machine counts for both sides."""
    return statistics.median(
        getattr(a, figure) / getattr(b, figure) for a, b in zip(runs[name], runs[first], strict=True)
    )


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]
