"""The main job a second time: services start, server starts, both sources are fetched, the question is answered."""

from __future__ import annotations

import json
import subprocess
import tempfile

from benchmarks.measure import ROOT, python


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="deepanalyze-bench-") as home:
        command = python("-m", "deepanalyze", "demo", "--once", "--json", "--port", "0", "--data-dir", home)
        for label in ("first start", "second start", "third start"):
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            summary = json.loads(done.stdout.splitlines()[-1])
            print(f"demo --once, {label}: {summary['seconds']} s, {summary['code_blocks']} code blocks")
