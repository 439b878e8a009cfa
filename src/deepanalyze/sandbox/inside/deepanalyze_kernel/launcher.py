"""The last thing that the server wrote and the first that runs in the sandbox.

It gives up everything that the code must not have, in an order that allows each step, and becomes the kernel.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

from . import landlock, seccomp
from .supervisor import supervise

_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS = 1, 8, 38
_PR_CAP_AMBIENT, _AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 47, 2, 4
_CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_READ_SEARCH = 2


def main() -> None:
    """Takes what the server's `LaunchPlan` says, as JSON in the first argument."""
    plan: dict[str, Any] = json.loads(sys.argv[1])
    if plan["supervise"]:
        supervise(plan["uid"])  # returns in the child only
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # an interrupt reaches what the code started, but nothing else
    _volunteer_for_the_oom_killer()
    os.umask(0o077)
    if plan["uid"] is not None:
        _become(plan["uid"], keep_search=plan["keep_search"])
        if plan["supervise"]:  # forgotten with the change of user
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if plan["supervise"] and os.getppid() == 1:
        sys.exit("the supervisor ended")
    os.chdir(plan["workspace"])
    _limit(plan["limits"])
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if plan["landlock"] is not None:
        landlock.restrict(**plan["landlock"])
    if plan["seccomp"] is not None:
        seccomp.install(seccomp.program(plan["seccomp"]))
    os.execve(plan["program"][0], plan["program"], plan["environment"])  # noqa: S606


def _volunteer_for_the_oom_killer() -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")
    except OSError:  # a read-only /proc; the limits hold all the same
        pass


def _become(uid: int, *, keep_search: bool) -> None:
    _prctl(_PR_SET_KEEPCAPS, 1 if keep_search else 0)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    _keep_capabilities(1 << CAP_DAC_READ_SEARCH if keep_search else 0)
    _prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    if keep_search:
        _prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, CAP_DAC_READ_SEARCH)


def _keep_capabilities(mask: int) -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(header, data) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _prctl(option: int, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if libc.prctl(ctypes.c_int(option), *padded) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl {option}: {os.strerror(code)}")
