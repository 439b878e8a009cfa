"""The guard: what it starts ends with it, whoever dies first."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deepanalyze.devservices.process import Command, start_guarded
from deepanalyze.errors import StartupError
from tests.support.services import gone

WAIT = "import signal; signal.pause()"


def command(path: Path, *arguments: str, **changes: object) -> Command:
    defaults: dict[str, object] = {
        "directory": path,
        "log": path / "log",
        "environment": {},
        "deadline_s": 0.2,
    }
    return Command("it", arguments, **(defaults | changes))  # type: ignore[arg-type]


def script(*lines: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", "\n".join(lines)]


@dataclass
class Line:
    """A pipe that a command inherits: it says on it that it is ready, and the pipe ends when the command has."""

    read_end: int
    write_end: int

    @property
    def ready(self) -> str:
        return f"import os; os.write({self.write_end}, b'x')"

    async def heard(self) -> bytes:
        return await asyncio.wait_for(asyncio.to_thread(os.read, self.read_end, 1), 60)

    def hand_over(self) -> None:
        os.close(self.write_end)
        self.write_end = -1


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line(*os.pipe())
    yield made
    os.close(made.read_end)
    if made.write_end >= 0:
        os.close(made.write_end)


async def test_it_is_stopped_with_the_signal_it_wants(tmp_path: Path, line: Line) -> None:
    obey = (
        "import signal, sys; signal.signal(signal.SIGINT, lambda *_: (print('bye', flush=True), sys.exit(3)))"
    )
    arguments = script(obey, line.ready, WAIT)
    process = await start_guarded(
        command(tmp_path, *arguments, keep_fds=[line.write_end], stop_signal=signal.SIGINT, deadline_s=60)
    )
    await line.heard()
    await process.stop()
    assert await process.wait() == 3
    assert "bye" in process.log_tail()
    assert gone(process.pid)


async def test_who_ignores_the_signal_is_killed_after_the_deadline(tmp_path: Path, line: Line) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    process = await start_guarded(
        command(tmp_path, *script(deaf, line.ready, WAIT), keep_fds=[line.write_end])
    )
    await line.heard()
    await process.stop()
    await process.stop()  # changes nothing
    assert await process.wait() == 128 + signal.SIGKILL
    assert gone(process.pid)


async def test_its_end_is_noticed(tmp_path: Path) -> None:
    process = await start_guarded(command(tmp_path, *script("raise SystemExit(7)")))
    assert await process.wait() == 7
    await process.stop()


async def test_it_ends_when_its_guard_is_killed(tmp_path: Path, line: Line) -> None:
    process = await start_guarded(command(tmp_path, *script(WAIT), keep_fds=[line.write_end]))
    line.hand_over()
    os.kill(process.guard_pid, signal.SIGKILL)
    assert await line.heard() == b""
    await process.stop()


async def test_a_cancelled_start_leaves_nothing_running(tmp_path: Path, line: Line) -> None:
    starting = asyncio.ensure_future(
        start_guarded(command(tmp_path, *script(WAIT), keep_fds=[line.write_end]))
    )
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    line.hand_over()
    assert await line.heard() == b""


async def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"it could not be started: .*/nowhere/program"):
        await start_guarded(command(tmp_path, "/nowhere/program"))


async def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="it could not be started"):
        await start_guarded(command(tmp_path, *script("pass"), directory=tmp_path / "missing"))
