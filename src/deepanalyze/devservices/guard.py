"""Runs one command and makes sure that it does not outlive whoever asked for it.

A script of its own (standard library only), started by `process.start_guarded`. The command is stopped when standard
input ends, which the kernel sees to even when the caller dies by SIGKILL, or when this process is told to end. If
this process is killed, the command gets the stop signal from the kernel (PR_SET_PDEATHSIG). That signal belongs to
the forking *thread* and is lost at setuid: hence a process with one thread, and the order in which the child does it.

Standard output gets one line, the command's pid; the command's own output goes to this process's standard error.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
STOP_REQUESTS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def dies_with_parent(stop_signal: int) -> Callable[[], None]:
    """What the child does between fork and exec, after it has become its user."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return prepare


def start(options: argparse.Namespace) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        options.command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        pass_fds=options.keep_fd,
        preexec_fn=dies_with_parent(options.stop_signal),
        user=options.uid,
        group=options.gid,
        extra_groups=None if options.uid is None else [],
    )


def signals_as_bytes() -> int:
    """A descriptor that yields one byte, its number, for each signal that arrives."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    for number in (signal.SIGCHLD, *STOP_REQUESTS):
        signal.signal(number, lambda *_: None)
    return read_end


def wait_for_end_or_request(child: subprocess.Popen[bytes], signals: int) -> None:
    while child.poll() is None:
        ready, _, _ = select.select([0, signals], [], [])
        if 0 in ready and not os.read(0, 1):
            return
        if signals in ready and STOP_REQUESTS.intersection(os.read(signals, 64)):
            return


def stop(child: subprocess.Popen[bytes], stop_signal: int, deadline_s: float) -> None:
    if child.poll() is not None:
        return
    child.send_signal(stop_signal)
    try:
        child.wait(deadline_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stop-signal", type=int, required=True)
    parser.add_argument("--deadline-s", type=float, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--keep-fd", type=int, action="append", default=[])
    parser.add_argument("command", nargs="+")
    return parser.parse_args(arguments)


def main() -> int:
    options = parse(sys.argv[1:])
    signals = signals_as_bytes()
    try:
        child = start(options)
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"{options.command[0]}: {error}\n")
        return 127
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    wait_for_end_or_request(child, signals)
    stop(child, options.stop_signal, options.deadline_s)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


if __name__ == "__main__":
    sys.exit(main())
