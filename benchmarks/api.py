"""Create, list and get data sources over HTTP: the server beside bare FastAPI routes that answer with the same bytes,
and what authentication and the audit trail each add to it.

All servers run at the same time, and are asked in turn, so that a drifting machine counts for all. Sources are created
without connecting to them. BENCH_ROUNDS makes it shorter.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROOT, python
from benchmarks.rounds import OURS, print_verdict

ROUNDS = int(os.environ.get("BENCH_ROUNDS", 15))
ASKED = 40
AT_ONCE = 8
SOURCES = 20
LIMIT_MS = 1.5
PATH = "/v1/data-sources"
BARE = "bare FastAPI"
LESS = {"without audit": "without_audit", "without auth": "without_auth", "without both": "without_both"}
OPERATIONS = ("get", "list", "create")  # what is created makes lists longer

Times = dict[str, dict[str, list[list[float]]]]  # by operation and server: a list of seconds for each round

_numbers = itertools.count()


@dataclass(slots=True)
class Server:
    name: str
    port: int
    key: str
    first: str = "any"

    def ask_often(self, operation: str) -> list[float]:
        """Seconds of each request, over one connection, which the first one, that does not count, opens."""
        seconds = []
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            self.ask(operation, connection)
            for _ in range(ASKED):
                began = time.perf_counter()
                self.ask(operation, connection)
                seconds.append(time.perf_counter() - began)
        return seconds

    def ask_once(self, operation: str) -> bytes:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            return self.ask(operation, connection)

    def ask(self, operation: str, connection: http.client.HTTPConnection) -> bytes:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        if operation == "create":
            connection.request("POST", PATH, _description(), headers)
        else:
            connection.request(
                "GET", PATH if operation == "list" else f"{PATH}/{self.first}", headers=headers
            )
        answer = connection.getresponse()
        content = answer.read()
        if answer.status not in (200, 201):
            raise RuntimeError(f"{self.name}: {answer.status} {content.decode()}")
        return content


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="deepanalyze-bench-") as directory, ExitStack() as stack:
        root = Path(directory)
        ways = {OURS: "whole", **LESS}
        servers = [stack.enter_context(_served(name, mode, root / mode)) for name, mode in ways.items()]
        bare = root / "bare"
        bare.mkdir()
        for server in servers:
            sources = [json.loads(server.ask_once("create")) for _ in range(SOURCES)]
            server.first = sources[0]["id"]
        for operation in OPERATIONS:
            (bare / operation).write_bytes(servers[0].ask_once(operation))
        servers.append(stack.enter_context(_served(BARE, "bare", bare)))
        times = _timed(servers)
        rates = _rates([servers[0], servers[-1]])
    _print(times, rates)


@contextmanager
def _served(name: str, mode: str, directory: Path) -> Iterator[Server]:
    process = subprocess.Popen(
        python("-m", "benchmarks.ways.api_server", mode, str(directory)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())
        yield Server(name, address["port"], address["key"])
    finally:
        process.terminate()
        process.wait()


def _description() -> str:
    config = {"host": "db.example.com", "database": "sales", "user": "analyst", "password": "made-up"}
    name = f"source-{next(_numbers)}"
    return json.dumps({"type": "postgresql", "name": name, "config": config, "test_connection": False})


def _timed(servers: Sequence[Server]) -> Times:
    times: Times = {operation: {server.name: [] for server in servers} for operation in OPERATIONS}
    for operation in OPERATIONS:
        for round_ in range(ROUNDS + 1):
            for server in servers:
                seconds = server.ask_often(operation)
                if round_:
                    times[operation][server.name].append(seconds)
    return times


def _rates(servers: Sequence[Server]) -> dict[str, dict[str, float]]:
    """Requests a second, of `AT_ONCE` clients."""
    rates: dict[str, dict[str, list[float]]] = {o: {s.name: [] for s in servers} for o in OPERATIONS}
    for operation in OPERATIONS:
        for _ in range(3):
            for server in servers:
                rates[operation][server.name].append(_rate(server, operation))
    return {o: {name: statistics.median(found) for name, found in by.items()} for o, by in rates.items()}


def _rate(server: Server, operation: str) -> float:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        began = time.perf_counter()
        list(pool.map(server.ask_often, [operation] * AT_ONCE))
        return AT_ONCE * (ASKED + 1) / (time.perf_counter() - began)


def _print(times: Times, rates: dict[str, dict[str, float]]) -> None:
    print(
        f"\n{SOURCES} data sources over HTTP ({ROUNDS} interleaved rounds of {ASKED} requests, one at a time)"
    )
    print(f"{'':28}{'median ms':>11}{'p95 ms':>9}{'ratio':>8}{f'{AT_ONCE} at once, 1/s':>18}")
    for operation, by_name in times.items():
        for name in (BARE, OURS):
            every = sorted(1000 * seconds for round_ in by_name[name] for seconds in round_)
            print(
                f"{f'{operation}, {name}':28}{statistics.median(every):11.2f}{every[len(every) * 95 // 100]:9.2f}"
                f"{_ratio(by_name[name], by_name[BARE]):8.2f}{rates[operation][name]:18.0f}"
            )
    print("\nwhat is added to a request at the median, in ms")
    for operation, by_name in times.items():
        added = {name: _added_ms(by_name[OURS], by_name[name]) for name in LESS}
        told = ", ".join(f"{name.removeprefix('without ')} {ms:.2f}" for name, ms in added.items())
        print_verdict(told, LIMIT_MS, added["without both"], name=operation)


def _ratio(rounds: Sequence[Sequence[float]], first: Sequence[Sequence[float]]) -> float:
    return statistics.median(
        statistics.median(a) / statistics.median(b) for a, b in zip(rounds, first, strict=True)
    )


def _added_ms(whole: Sequence[Sequence[float]], less: Sequence[Sequence[float]]) -> float:
    return 1000 * statistics.median(
        statistics.median(a) - statistics.median(b) for a, b in zip(whole, less, strict=True)
    )


if __name__ == "__main__":
    main()
