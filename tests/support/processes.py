"""Processes that tests start: with a clean environment, read line by line, ended by pid whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

from tests.support.canaries import legitimate
from tests.support.canary_net import look
from tests.support.children import looking_at_children

ROOT = Path(__file__).resolve().parents[2]
_CONFIGURED = "the environment of a server that is tested is how it gets its settings"
DEADLINE_S = 240  # against hanging, not a claim


def environment(home: Path, **more: str) -> dict[str, str]:
    """As a newcomer's shell: nothing of this process's own but where programs are found."""
    kept = {k: os.environ[k] for k in ("PATH", "LANG", "XDG_CACHE_HOME", "TMPDIR") if k in os.environ}
    # The demo's parts are installed once per user, not once per test.
    kept.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    return {**kept, "HOME": str(home), **more}


def deepanalyze(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "deepanalyze", *arguments]


def run(home: Path, *arguments: str, typed: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    with legitimate(_CONFIGURED):
        done = subprocess.run(
            deepanalyze(*arguments),
            env=environment(home, **more),
            cwd=home,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            input=typed,
            check=False,
        )
    # A key that is made is shown, once, to who makes it.
    look(f"the output of {arguments[:2]}", done.stdout + done.stderr, keys=arguments[:1] != ("keys",))
    return done


def acknowledged_until_killed(script: str, *arguments: str, after: int) -> set[str]:
    """Runs Python code that prints a line for whatever is durable, and kills it when it has printed `after` of them.
    What was still on its way out counts, too; half a line does not.
    """
    command = [sys.executable, "-c", script, *arguments]
    writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    with writer.stdout:
        lines = [writer.stdout.readline() for _ in range(after)]
        writer.kill()
        lines += writer.stdout.readlines()
    writer.wait()
    return {line.strip() for line in lines if line.endswith("\n")}


class Running:
    """A process whose standard output can be awaited line by line. `commands` has the command lines of its own ones."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.commands: set[bytes] = set()
        self._ended = False
        self._queue: Queue[str | None] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line)
        self._queue.put(None)

    def until(self, text: str) -> str:
        """Waits for a line that holds `text`. Raises AssertionError when the output ends before."""
        while True:
            line = self._queue.get(timeout=DEADLINE_S)
            if line is None:
                self._ended = True
                raise AssertionError(f"no line with {text!r} in:\n{''.join(self.lines)}")
            self.lines.append(line)
            if text in line:
                return line

    def url(self) -> str:
        """Where a server says that it answers."""
        return next(word for word in self.until("answers at").split() if word.startswith("http"))

    def rest(self) -> str:
        """All that it says until its output ends."""
        while not self._ended and (line := self._queue.get(timeout=DEADLINE_S)) is not None:
            self.lines.append(line)
        self._ended = True
        return "".join(self.lines)


@contextmanager
def started(home: Path, *arguments: str, **more: str) -> Iterator[Running]:
    with legitimate(_CONFIGURED):
        process = subprocess.Popen(
            deepanalyze(*arguments),
            env=environment(home, **more),
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
    running = Running(process)
    try:
        with looking_at_children(process.pid) as running.commands:
            yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        running.rest()
        assert process.stdout is not None
        process.stdout.close()
        said = [line for line in running.lines if "shown only now" not in line]  # the first key of a server
        look(f"the output of {arguments[:2]}", "".join(said))
