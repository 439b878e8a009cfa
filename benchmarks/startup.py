"""How long a person waits: for `--help`, and for the server to answer."""

from __future__ import annotations

import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from benchmarks.measure import ROOT, Contestant, compare, python

ROUNDS = 5


def main() -> None:
    compare(
        "deepanalyze --help",
        [
            Contestant("python -c pass", python("-c", "pass")),
            Contestant("deepanalyze --help", python("-m", "deepanalyze", "--help")),
        ],
        rounds=ROUNDS,
    )
    times = sorted(server_ready_s() for _ in range(ROUNDS))
    print(
        f"\nserver ready (process start to the first 200 from /health): median {times[ROUNDS // 2]:.2f} s of {ROUNDS}"
    )


def server_ready_s() -> float:
    with tempfile.TemporaryDirectory(prefix="deepanalyze-bench-") as home:
        began = time.perf_counter()
        process = subprocess.Popen(
            python("-m", "deepanalyze", "serve", "--port", "0", "--data-dir", home),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            url = next(word for line in process.stdout for word in line.split() if word.startswith("http"))
            with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:
                answer.read()
            return time.perf_counter() - began
        finally:
            process.terminate()
            process.wait()
