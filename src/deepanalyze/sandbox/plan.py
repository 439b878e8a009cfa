"""What the launcher inside the sandbox is told to do, the same for every way of isolating."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from deepanalyze.sandbox.base import Isolation, KernelLimits
from deepanalyze.sandbox.environment import PythonEnvironment
from deepanalyze.workspace import Workspace

INSIDE = Path(__file__).parent / "inside"
_START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from deepanalyze_kernel.launcher import main; main()"
)
_MAX_THREADS = 8  # of one numeric library: more would eat up the limit of processes on a large machine


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie, as the code sees them."""

    workspace: str
    runtime: str
    tmp: str
    inside: str


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """Read by `inside/deepanalyze_kernel/launcher.py`. `uid`: the user to become, None to stay. `keep_search`: keep
    the right to pass through directories, which Landlock narrows again. `supervise`: there is no process namespace.
    """

    program: list[str]
    environment: dict[str, str]
    workspace: str
    limits: dict[str, int]
    uid: int | None
    seccomp: dict[str, bool] | None
    landlock: dict[str, list[str]] | None = None
    keep_search: bool = False
    supervise: bool = False

    def arguments(self, python: PythonEnvironment, inside: str) -> list[str]:
        return [python.executable, "-I", "-S", "-B", "-c", _START, inside, json.dumps(asdict(self))]


class Confinement(Protocol):
    """One way of isolating a program."""

    isolation: Isolation
    supervised: bool  # there is no process namespace, so a supervisor ends what the program started

    def places(self, workspace: Workspace, runtime: Path) -> Places:
        """Where the program finds the workspace, its runtime directory and a directory for temporary files."""

    def command(self, program: list[str], workspace: Workspace, runtime: Path) -> list[str]:
        """How to start it. Raises SandboxUnavailable where the workspace or the interpreter cannot be reached."""

    def for_program(self, python: PythonEnvironment, limits: KernelLimits) -> Confinement:
        """The same way of isolating for another interpreter and other limits."""


def environment_inside(python: PythonEnvironment, places: Places) -> dict[str, str]:
    """All that the code sees of an environment: nothing of the server's."""
    threads = str(min(os.cpu_count() or 1, _MAX_THREADS))
    variables = {
        "PATH": f"{python.bin}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": places.inside,
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": places.tmp,
        "USER": "analyst",
        "LOGNAME": "analyst",
        "LANG": "C.UTF-8",
        "TMPDIR": places.tmp,
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": f"{places.tmp}/matplotlib",
        "IPYTHONDIR": f"{places.tmp}/ipython",
        "XDG_CACHE_HOME": f"{places.tmp}/cache",
        "ARROW_DEFAULT_MEMORY_POOL": "system",  # others reserve a gigabyte, which counts against the limit
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }
    if python.user_base is not None:
        variables["PYTHONUSERBASE"] = python.user_base
    return variables


def resource_limits(limits: KernelLimits, *, other_processes: int = 0) -> dict[str, int]:
    """Per process. The address space gets room on top: libraries reserve what they never use."""
    memory = limits.memory_mb * 1024**2
    return {
        "DATA": memory,
        "AS": 2 * memory + 8 * 1024**3,
        "NPROC": limits.processes + other_processes,
        "FSIZE": limits.file_bytes,
        "CPU": limits.cpu_s,
        "NOFILE": 1024,
        "CORE": 0,
    }


def seccomp_profile(**facts: bool) -> dict[str, Any]:
    return {"namespaces": False, "own_user": False, "scoped_signals": False, "truncation": False, **facts}
