"""Ends everything that the code started when there is no process namespace that does it.

The supervisor stays outside the sandbox, between the server and the kernel. It is the reaper of all that the kernel
starts, so that nothing escapes it by forking twice, and ends all of it when the kernel or the server ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_AT_REST = "TtZX"  # stopped, or dead
_MOST_PASSES = 200
_LIFELINE = 0  # stdin: a pipe whose other end only the server holds


def supervise(uid: int | None) -> None:
    """Forks. Returns in the child, which becomes the kernel; the parent never returns."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.setsid()
    child = os.fork()
    if child == 0:
        _detach_stdin()
        return
    with contextlib.suppress(OSError):
        os.closerange(3, 4096)
    status = _wait_for_an_end(child)
    end_all(uid)
    os._exit(status)


def _detach_stdin() -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, _LIFELINE)
    os.close(nothing)


def _wait_for_an_end(child: int) -> int:
    """Until the kernel ends, then its exit status, or the lifeline is cut."""
    import select

    poll = select.poll()
    handle = os.pidfd_open(child)
    poll.register(handle, select.POLLIN)
    poll.register(_LIFELINE, select.POLLIN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if handle in ready:
            _, status = os.waitpid(child, 0)
            return os.waitstatus_to_exitcode(status) & 0xFF
        if _LIFELINE in ready and not os.read(_LIFELINE, 1):
            return 0


def end_all(uid: int | None) -> None:
    """Kills every descendant; all of a user's processes at once where the user is this kernel's own.

    Otherwise they are stopped before they are killed: killed one by one, a fork bomb refills the places faster than
    they are emptied. A stopped process keeps its place and forks no more, so the bomb comes to rest at its limit.
    """
    while True:
        if uid is not None:
            _kill_as(uid)
        else:
            _bring_to_rest()
        for process in _descendants():
            _signal(process.pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _bring_to_rest() -> None:
    """Stops descendants until none runs. Bounded, for one may be stuck in the kernel, or wake the others."""
    for _ in range(_MOST_PASSES):
        running = [process for process in _descendants() if process.state not in _AT_REST]
        if not running:
            return
        for group in {process.group for process in running} - {os.getpgrp()}:
            _signal(-group, signal.SIGSTOP)  # a whole group at one instant
        for process in running:
            _signal(process.pid, signal.SIGSTOP)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _kill_as(uid: int) -> None:
    """`kill(-1)` is atomic: not even a fork bomb gets away from it."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


class _Process(NamedTuple):
    pid: int
    state: str
    group: int


def _descendants() -> list[_Process]:
    children: dict[int, list[_Process]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                stat = Path("/proc", entry, "stat").read_text(errors="replace")
                state, parent, group, *_ = stat.rpartition(")")[2].split()
                children.setdefault(int(parent), []).append(_Process(int(entry), state, int(group)))
    found: list[_Process] = []
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += [process.pid for process in below]
    return found
