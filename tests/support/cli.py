"""The command line against a server: processes on both sides, and what they say."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.canaries import canary
from tests.support.processes import Running, started

KEY = canary("key of the command line")
Done = subprocess.CompletedProcess[str]


def good(done: Done) -> str:
    """What it printed, where it had nothing to complain of."""
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def one_line(done: Done, code: int, *words: str) -> str:
    """The only thing that it said: a line on standard error with all these words."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("deepanalyze: ")
    for word in words:
        assert word in done.stderr
    return done.stderr


@contextmanager
def serving(home: Path, data_dir: Path, **environ: str) -> Iterator[tuple[str, Running]]:
    """The URL and the process of `deepanalyze serve`, whose administrator has KEY."""
    arguments = ("serve", "--port", "0", "--data-dir", str(data_dir), "--log-level", "error")
    with started(home, *arguments, **{"DEEPANALYZE_ADMIN_API_KEY": KEY, **environ}) as server:
        yield next(word for word in server.until("answers at").split() if word.startswith("http")), server
