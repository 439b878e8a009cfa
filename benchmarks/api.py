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

_numbers = itertools.count()


@dataclass(slots=True)
class Server:
    name: str
    port: int
    key: str
    first: str = "any"

    def connect(self) -> closing[http.client.HTTPConnection]:
        return closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60))

    def ask_once(self, operation: str) -> bytes:
        with self.connect() as connection:
            return self.ask(operation, connection)

    def ask_often(self, operation: str) -> None:
        with self.connect() as connection:
            for _ in range(ASKED):
                self.ask(operation, connection)

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
        _print_head()
        added = {operation: _measure(servers, operation) for operation in OPERATIONS}
    print("\nwhat is added to a request at the median, in ms")
    for operation, by_name in added.items():
        told = ", ".join(f"{name.removeprefix('without ')} {ms:.2f}" for name, ms in by_name.items())
        print_verdict(told, LIMIT_MS, by_name["without both"], name=operation)


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


def _measure(servers: Sequence[Server], operation: str) -> dict[str, float]:
    """Prints how long a request takes; returns what the parts that can be left out add to it, in ms."""
    rounds = [_round(servers, operation) for _ in range(ROUNDS + 1)][1:]
    times = {server.name: [times[server.name] for times in rounds] for server in servers}
    ours, _, _, _, bare = servers
    rates = [(_rate(ours, operation), _rate(bare, operation)) for _ in range(3)]
    for name, rate in ((BARE, [r[1] for r in rates]), (OURS, [r[0] for r in rates])):
        every = sorted(1000 * seconds for round_ in times[name] for seconds in round_)
        print(
            f"{f'{operation}, {name}':28}{statistics.median(every):11.2f}{every[len(every) * 95 // 100]:9.2f}"
            f"{_ratio(times[name], times[BARE]):8.2f}{statistics.median(rate):18.0f}"
        )
    return {name: _added_ms(times[OURS], times[name]) for name in LESS}


def _round(servers: Sequence[Server], operation: str) -> dict[str, list[float]]:
    """Each server's seconds for each request; the first of each, which opens its connection, does not count."""
    seconds: dict[str, list[float]] = {server.name: [] for server in servers}
    with ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for server in servers]
        for asked in range(ASKED + 1):
            for server, connection in zip(servers, connections, strict=True):
                began = time.perf_counter()
                server.ask(operation, connection)
                if asked:
                    seconds[server.name].append(time.perf_counter() - began)
    return seconds


def _rate(server: Server, operation: str) -> float:
    """Requests a second, of `AT_ONCE` clients."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        began = time.perf_counter()
        list(pool.map(server.ask_often, [operation] * AT_ONCE))
        return AT_ONCE * ASKED / (time.perf_counter() - began)


def _print_head() -> None:
    print(f"\n{SOURCES} data sources over HTTP ({ROUNDS} rounds of {ASKED} requests, to each server in turn)")
    print(f"{'':28}{'median ms':>11}{'p95 ms':>9}{'ratio':>8}{f'{AT_ONCE} at once, 1/s':>18}")


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
