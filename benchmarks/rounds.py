"""Ways to do one thing, side by side: all in turn, round by round, told as ratios and verdicts.

A way that is a script measures the transfer alone, inside its own process, and says so as JSON.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks.measure import ROOT, python

OURS = "this project"

Figures = dict[str, float]
Way = Callable[[], Figures]
Rounds = Mapping[str, Sequence[Figures]]


def run_rounds(
    ways: Mapping[str, Way], rounds: int, *, before: Callable[[], object], check: Callable[[str], object]
) -> Rounds:
    """All in turn, after one round that does not count. `check(name)` raises if that way did not do its job."""
    results: dict[str, list[Figures]] = {name: [] for name in ways}
    for round_ in range(rounds + 1):
        for name, way in ways.items():
            before()
            figures = way()
            check(name)
            if round_:
                results[name].append(figures)
    return results


def script(name: str, environment: Mapping[str, str]) -> Figures:
    """`name` is a module of `benchmarks.ways`, with arguments after it where it takes some."""
    module, *arguments = name.split()
    command = python("-m", f"benchmarks.ways.{module}", *arguments)
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def process(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Figures:
    """A whole process, with its start."""
    began = time.perf_counter()
    started = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(started.pid, 0)
    wall_s = time.perf_counter() - began
    started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode:
        raise subprocess.CalledProcessError(started.returncode, command)
    return {"wall_s": wall_s, "cpu_s": usage.ru_utime + usage.ru_stime, "growth_mib": math.nan}


def best_of(results: Rounds, peers: Iterable[str]) -> list[Figures]:
    """Figure by figure the rounds of the peer whose median is the best."""
    peers = [name for name in peers if name in results]
    best: list[Figures] = [{} for _ in results[peers[0]]]
    for figure in ("wall_s", "cpu_s"):
        better = min(peers, key=lambda name: statistics.median(run[figure] for run in results[name]))
        for figures, run in zip(best, results[better], strict=True):
            figures[figure] = run[figure]
    return best


def ratio(runs: Sequence[Figures], first: Sequence[Figures], figure: str) -> float:
    """The median of the ratios round by round, so that a drifting machine counts for both sides."""
    return statistics.median(a[figure] / b[figure] for a, b in zip(runs, first, strict=True))


def print_table(results: Rounds, first: Sequence[Figures]) -> None:
    print(f"{'':28}{'wall s':>9}{'ratio':>8}{'cpu s':>9}{'ratio':>8}{'growth MiB':>12}")
    for name, runs in results.items():
        wall, cpu, growth = (
            statistics.median(run[figure] for run in runs) for figure in ("wall_s", "cpu_s", "growth_mib")
        )
        grown = "–" if math.isnan(growth) else f"{growth:.1f}"
        print(
            f"{name:28}{wall:9.3f}{ratio(runs, first, 'wall_s'):8.2f}"
            f"{cpu:9.3f}{ratio(runs, first, 'cpu_s'):8.2f}{grown:>12}"
        )


def print_delays(work: str, runs: Sequence[Figures], limit_ms: float) -> None:
    figures = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    worst = max(run["max_ms"] for run in runs)
    told = ", ".join(f"{name.removesuffix('_ms')} {value:.1f} ms" for name, value in figures.items())
    print(f"\nthe event loop's delay during {work}: {told}")
    print_verdict(f"worst {worst:.1f} ms", limit_ms, worst)


def print_verdict(told: str, limit: float, figure: float, *, name: str = OURS) -> None:
    print(f"  {name}: {told}, {'within' if figure <= limit else 'OVER'} the limit of {limit:g}")
