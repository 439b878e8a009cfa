"""Finds out, by trying, how code can be isolated on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import structlog

from deepanalyze.errors import SandboxUnavailable
from deepanalyze.sandbox.base import Isolation, KernelLimits, Sandbox
from deepanalyze.sandbox.bubblewrap import Bubblewrap, find_bwrap
from deepanalyze.sandbox.environment import PythonEnvironment, find_environment
from deepanalyze.sandbox.inside.deepanalyze_kernel.landlock import abi as landlock_abi
from deepanalyze.sandbox.kernel import JupyterKernel
from deepanalyze.sandbox.landlock import Landlock, NoConfinement
from deepanalyze.sandbox.local import LocalSandbox
from deepanalyze.sandbox.plan import Confinement
from deepanalyze.sandbox.runtime_dir import clean_left_over
from deepanalyze.sandbox.tables import NoTables
from deepanalyze.workspace import Workspace

NEARLY_ALWAYS_USED = ("pandas", "matplotlib.pyplot")

SandboxMode = Literal["auto", "bubblewrap", "landlock", "none"]

_log = structlog.get_logger()


class UnavailableSandbox:
    """Stands for the sandbox that this machine does not allow: the server runs, and says so when code should."""

    def __init__(self, reasons: list[str], remedy: str) -> None:
        self._message = f"code cannot be isolated on this machine: {'; '.join(reasons)}. {remedy}"
        self.isolation = Isolation("unavailable", (self._message,), remedy)
        self.tables = NoTables(self._message)

    def exposes(self, path: Path) -> bool:
        return False

    async def start_kernel(self, workspace: Workspace) -> JupyterKernel:
        raise SandboxUnavailable(self._message)


async def open_sandbox(
    mode: SandboxMode,
    *,
    limits: KernelLimits,
    python: Path | None = None,
    preload: Sequence[str] = NEARLY_ALWAYS_USED,
) -> Sandbox:
    """`auto`: bubblewrap where it runs, else Landlock where it runs. Whatever does not work here is told by
    `start_kernel` and in `isolation`. `preload`: what a kernel imports before anybody asks for it.
    """
    await asyncio.to_thread(clean_left_over)
    try:
        server = await find_environment(Path(sys.executable))
        environment = server if python is None else await find_environment(python)
    except SandboxUnavailable as error:
        return UnavailableSandbox(
            [error.message], "Set DEEPANALYZE_KERNEL_PYTHON to an interpreter that runs."
        )
    reasons: list[str] = []
    for confinement in _candidates(mode, environment, limits, reasons):
        sandbox = LocalSandbox(confinement, environment, limits, preload, server=server)
        try:
            await sandbox.probe()
        except SandboxUnavailable as error:
            reasons.append(f"{confinement.isolation.name}: {error.message}")
            continue
        _tell(sandbox.isolation, reasons)
        return sandbox
    unavailable = UnavailableSandbox(reasons, remedy_for_bubblewrap())
    _log.warning("sandbox unavailable", reasons=reasons)
    return unavailable


def _candidates(
    mode: SandboxMode, python: PythonEnvironment, limits: KernelLimits, reasons: list[str]
) -> Iterator[Confinement]:
    if mode == "none":
        yield NoConfinement(python, limits)
    if mode in ("auto", "bubblewrap"):
        found = find_bwrap()
        if not found:
            reasons.append("bubblewrap: there is no bwrap for this platform")
        for bwrap in found:
            yield Bubblewrap(bwrap, python, limits)
    if mode in ("auto", "landlock"):
        abi = landlock_abi()
        if abi == 0:
            reasons.append("landlock: this Linux has none, or it is turned off")
        else:
            yield Landlock(abi, python, limits, remedy=remedy_for_bubblewrap() if mode == "auto" else None)


def _tell(isolation: Isolation, reasons: list[str]) -> None:
    if isolation.name == "none":
        _log.warning("code runs without isolation", sandbox="none")
    else:
        _log.info("sandbox ready", sandbox=isolation.name, weaker=list(isolation.weaker), not_used=reasons)


def remedy_for_bubblewrap() -> str:
    """What an administrator can do, by what this machine looks like."""
    if _reads("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"):
        return (
            "Ubuntu lets only programs with an AppArmor profile make user namespaces: install bubblewrap from Ubuntu"
            " (apt install bubblewrap apparmor-profiles) and load its profile (ln -s"
            " /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && apparmor_parser -r"
            " /etc/apparmor.d/bwrap-userns-restrict), or allow them to all:"
            " sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        )
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
        return (
            "In a container, allow user namespaces and a fresh /proc: docker run --security-opt seccomp=unconfined"
            " --security-opt apparmor=unconfined --security-opt systempaths=unconfined"
        )
    if _reads("/proc/sys/kernel/unprivileged_userns_clone", "0"):
        return "Allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1"
    if _reads("/proc/sys/user/max_user_namespaces", "0"):
        return "Allow user namespaces: sysctl -w user.max_user_namespaces=15000"
    return "Allow user namespaces to the server's user, so that bubblewrap can run."


def _reads(path: str, value: str) -> bool:
    with contextlib.suppress(OSError):
        return Path(path).read_text().strip() == value
    return False
