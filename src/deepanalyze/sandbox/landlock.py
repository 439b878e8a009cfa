"""Isolation without namespaces, for machines that forbid them: Landlock for files, seccomp for the rest."""

from __future__ import annotations

import os
from pathlib import Path

from deepanalyze.errors import SandboxUnavailable
from deepanalyze.sandbox.base import Isolation, KernelLimits
from deepanalyze.sandbox.bubblewrap import SYSTEM, SYSTEM_FILES
from deepanalyze.sandbox.environment import PythonEnvironment
from deepanalyze.sandbox.plan import (
    INSIDE,
    LaunchPlan,
    Places,
    environment_inside,
    resource_limits,
    seccomp_profile,
)
from deepanalyze.workspace import Workspace
from deepanalyze.workspace.identity import effective_capabilities

_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# DuckDB ends when it sees the limits of a cgroup and may not read them.
_KERNELS_WORD = ("/proc", "/sys/devices/system/cpu", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage")
_CAP_DAC_READ_SEARCH = 2
_ABI_OF_TRUNCATION, _ABI_OF_SCOPED_SIGNALS = 3, 6

_WEAKER = (
    "code can see which processes run on this machine, and their command lines",
    "code can ask whether a file exists and how large it is, though not read it",
    "the space that temporary files take is not limited, only the size of each",
    "code cannot connect anywhere, not even to sockets of its own",
    "code has no shared memory, so pools of processes do not work",
)
_WEAKER_WITHOUT_SCOPED_SIGNALS = "code cannot signal the processes that it started (Linux before 6.12)"


class Landlock:
    """As root the code runs as the thread's own user, otherwise as the server's, with more calls refused."""

    supervised = True

    def __init__(
        self, abi: int, python: PythonEnvironment, limits: KernelLimits, *, remedy: str | None
    ) -> None:
        self._abi = abi
        self._python = python
        self._limits = limits
        weaker: tuple[str, ...] = _WEAKER
        if abi < _ABI_OF_SCOPED_SIGNALS and os.geteuid() != 0:
            weaker = (*weaker, _WEAKER_WITHOUT_SCOPED_SIGNALS)
        self.isolation = Isolation("landlock", weaker, remedy)

    def places(self, workspace: Workspace, runtime: Path) -> Places:
        return Places(str(workspace.root), str(runtime), str(runtime / "tmp"), str(INSIDE))

    def command(self, program: list[str], workspace: Workspace, runtime: Path) -> list[str]:
        places = self.places(workspace, runtime)
        uid = workspace.owner_uid
        plan = LaunchPlan(
            program=program,
            environment=environment_inside(self._python, places),
            workspace=places.workspace,
            limits=resource_limits(self._limits, other_processes=_processes_of(uid)),
            uid=uid,
            seccomp=seccomp_profile(
                own_user=uid is not None,
                scoped_signals=self._abi >= _ABI_OF_SCOPED_SIGNALS,
                truncation=self._abi >= _ABI_OF_TRUNCATION,
            ),
            landlock={
                "readable": [*SYSTEM, *SYSTEM_FILES, *_KERNELS_WORD, *self._python.directories, str(INSIDE)],
                "writable": [places.workspace, places.runtime],
                "devices": [*_DEVICES],
            },
            keep_search=uid is not None and self._needs_search(places),
            supervise=True,
        )
        return plan.arguments(self._python, places.inside)

    def for_program(self, python: PythonEnvironment, limits: KernelLimits) -> Landlock:
        return Landlock(self._abi, python, limits, remedy=self.isolation.remedy)

    def _needs_search(self, places: Places) -> bool:
        """Whether something lies behind a directory that the thread's user may not pass, such as root's home.

        The right to pass any directory and read any file is harmless then: Landlock takes all files but those that
        the code may read anyway, and what remains is to learn that a file exists.
        """
        needed = (
            *self._python.directories,
            self._python.executable,
            places.workspace,
            places.runtime,
            places.inside,
        )
        closed = next((path for needed_path in needed if (path := _closed_on_the_way(needed_path))), None)
        if closed is None:
            return False
        if not effective_capabilities() >> _CAP_DAC_READ_SEARCH & 1:
            raise SandboxUnavailable(
                f"code runs as an unprivileged user, who cannot pass the directory {closed}, and the server lacks"
                " CAP_DAC_READ_SEARCH to allow it; make the directory passable (chmod o+x), add the capability or"
                " run the server as an ordinary user"
            )
        return True


class NoConfinement:
    """Only when it is asked for by name: limits, but no isolation."""

    supervised = True
    isolation = Isolation(
        "none", ("code can do all that the server's user can, on this machine and in its network",)
    )

    def __init__(self, python: PythonEnvironment, limits: KernelLimits) -> None:
        self._python = python
        self._limits = limits

    def places(self, workspace: Workspace, runtime: Path) -> Places:
        return Places(str(workspace.root), str(runtime), str(runtime / "tmp"), str(INSIDE))

    def command(self, program: list[str], workspace: Workspace, runtime: Path) -> list[str]:
        places = self.places(workspace, runtime)
        plan = LaunchPlan(
            program=program,
            environment=environment_inside(self._python, places),
            workspace=places.workspace,
            limits=resource_limits(self._limits, other_processes=_processes_of(None)),
            uid=None,
            seccomp=None,
            supervise=True,
        )
        return plan.arguments(self._python, places.inside)

    def for_program(self, python: PythonEnvironment, limits: KernelLimits) -> NoConfinement:
        return NoConfinement(python, limits)


def _closed_on_the_way(path: str) -> str | None:
    for parent in Path(os.path.realpath(path)).parents:
        if not os.stat(parent).st_mode & 0o001:
            return str(parent)
    return None


def _processes_of(uid: int | None) -> int:
    """The kernel counts threads by user. A user shared with others starts with theirs."""
    if uid is not None:
        return 0
    own = os.geteuid()
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == own:
                    count += len(os.listdir(f"/proc/{entry.name}/task"))
            except OSError:
                continue
    return count
