"""The server killed with -9 in the middle of the main job: nothing keeps running, and the next start works."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.support.processes import run, started

DEADLINE_S = 30


def processes_of(home: Path) -> list[str]:
    """Command lines of living processes that name the directory."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state = (directory / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:  # gone meanwhile
            continue
        if str(home) in command and state != "Z":
            found.append(command)
    return found


@pytest.mark.timeout(600)
def test_a_killed_demo_leaves_nothing_running_and_starts_again(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    with started(tmp_path, "demo", "--once", "--port", "0", "--data-dir", str(home)) as demo:
        demo.until("Execute")
        demo.process.kill()
        demo.process.wait()
        end = time.monotonic() + DEADLINE_S
        while left := processes_of(home):
            assert time.monotonic() < end, left
            time.sleep(0.05)

    done = run(tmp_path, "demo", "--once", "--json", "--port", "0", "--data-dir", str(home))
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout.splitlines()[-1])["ok"] is True
