"""Starts a command behind a guard and stops it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepanalyze.errors import StartupError

GUARD = Path(__file__).with_name("guard.py")


@dataclass(frozen=True, slots=True)
class User:
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Command:
    """What to run and how to end it.

    Args:
        name: what people call it.
        directory: its working directory; it is entered before the user is changed, so that the user need not be
            able to reach it.
        log: where its output goes; started anew each time.
        keep_fds: descriptors that it inherits.
        user: who it runs as; None keeps ours.
        stop_signal: asks it to end; after `deadline_s` it gets SIGKILL.
    """

    name: str
    arguments: Sequence[str]
    directory: Path
    log: Path
    environment: Mapping[str, str]
    keep_fds: Sequence[int] = ()
    user: User | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    deadline_s: float = 10


class GuardedProcess:
    """A running command. It ends with `stop`, or with us, however we end."""

    def __init__(self, command: Command, guard: asyncio.subprocess.Process) -> None:
        self._command = command
        self._guard = guard
        self.pid = 0  # the command's own, known once it was started

    @property
    def name(self) -> str:
        return self._command.name

    @property
    def guard_pid(self) -> int:
        return self._guard.pid

    @property
    def log(self) -> Path:
        return self._command.log

    async def wait(self) -> int:
        """The command's exit status, as a shell gives it."""
        return await self._guard.wait()

    async def stop(self) -> None:
        """Returns when the command is gone. A second call does nothing."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        try:
            await asyncio.wait_for(self._guard.wait(), self._command.deadline_s + 5)
        except TimeoutError:  # the guard itself hangs
            with contextlib.suppress(ProcessLookupError):
                self._guard.kill()
            await self._guard.wait()

    def log_lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join(self.log_lines()[-lines:])


async def start_guarded(command: Command) -> GuardedProcess:
    """Returns once the command was started; whether it is ready is for the caller to ask it."""
    guard = await _start_guard(command)
    assert guard.stdout is not None
    process = GuardedProcess(command, guard)
    try:
        process.pid = int(await guard.stdout.readline() or 0)
    except BaseException:  # cancelled
        await process.stop()
        raise
    if not process.pid:
        await process.stop()
        raise StartupError(f"{command.name} could not be started: {process.log_tail(1)}")
    return process


async def _start_guard(command: Command) -> asyncio.subprocess.Process:
    try:
        with command.log.open("wb") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", str(GUARD), *_guard_options(command), "--", *command.arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=command.directory,
                env=dict(command.environment),
                pass_fds=tuple(command.keep_fds),
                start_new_session=True,  # Ctrl-C is for the command line, which then stops everything in order
            )  # fmt: skip
    except OSError as error:
        raise StartupError(f"{command.name} could not be started: {error}") from error


def _guard_options(command: Command) -> list[str]:
    options = ["--stop-signal", str(int(command.stop_signal)), "--deadline-s", str(command.deadline_s)]
    if command.user:
        options += ["--uid", str(command.user.uid), "--gid", str(command.user.gid)]
    for descriptor in command.keep_fds:
        options += ["--keep-fd", str(descriptor)]
    return options
