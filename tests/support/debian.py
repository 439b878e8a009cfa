"""Debian's packages, unpacked into a directory: nothing is installed, and nobody has to be root."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deepanalyze.devservices.reachable import open_to_everyone, service_user, shared_copy
from tests.support.processes import ROOT

UNPACKED = ROOT / ".tools" / "debian"
DEADLINE_S = 600  # against hanging, not a claim
INSTALLED = Path("/usr/lib/postgresql")
# apt's own lists, caches and locks stay as they are, and what the system hooks to an update does not run for ours.
_APT_CONF = """
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Update::Error-Mode "any";
APT::Sandbox::User "";
Debug::NoLocking "true";
Dir::State "{state}";
Dir::State::Lists "{state}/lists";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{state}";
"""


class Unavailable(Exception):
    """Why there are no such programs here."""


@dataclass(frozen=True, slots=True)
class Programs:
    """`libraries` is what LD_LIBRARY_PATH has to be, or empty."""

    postgresql: Path
    pgbouncer: Path | None
    libraries: str


def find_programs() -> Programs:
    """Of the packages that the system's own sources offer; without these an installed PostgreSQL that has contrib.

    Raises Unavailable when there is neither.
    """
    try:
        return _programs_in(_reachable(_unpacked()))
    except Unavailable:
        for share in sorted(Path("/usr/share/postgresql").glob("*/extension/dblink.control"), reverse=True):
            bin_ = INSTALLED / share.parts[-3] / "bin"
            if (bin_ / "postgres").exists():
                pgbouncer = Path("/usr/sbin/pgbouncer")
                return Programs(bin_, pgbouncer if pgbouncer.exists() else None, "")
        raise


def _programs_in(root: Path) -> Programs:
    (postgres,) = root.glob("usr/lib/postgresql/*/bin/postgres")
    libraries = sorted({str(found.parent) for found in root.glob("**/*-linux-gnu*/*.so.*")})
    return Programs(postgres.parent, root / "usr/sbin/pgbouncer", ":".join(libraries))


def _reachable(root: Path) -> Path:
    if service_user() is None or open_to_everyone(root):
        return root
    name = hashlib.sha256((root / "complete").read_bytes()).hexdigest()[:12]
    return shared_copy({"root": root}, f"debian-{name}") / "root"


def _unpacked() -> Path:
    """Made once, by whichever worker comes first."""
    root = UNPACKED / "root"
    with _lock(UNPACKED):
        if (root / "complete").exists():
            return root
        shutil.rmtree(root, ignore_errors=True)
        files = _downloaded(UNPACKED)
        for file in files:
            _run("dpkg-deb", "-x", str(file), str(root))
        root.chmod(0o755)
        (root / "complete").write_text("\n".join(file.name for file in files))
        for file in files:
            file.unlink()
        return root


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _downloaded(directory: Path) -> Sequence[Path]:
    """PostgreSQL, PgBouncer and those of their libraries that this system lacks."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Unavailable("this is no Debian: there is no apt-get")
    state = directory / "apt"
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "apt.conf").write_text(_APT_CONF.format(state=state))
    apt = ("apt-get", "-c", str(state / "apt.conf"), "-qq")
    _run(*apt, "update")
    names = _run("apt-cache", "-c", str(state / "apt.conf"), "pkgnames", "postgresql-")
    versions = [int(version) for version in re.findall(r"^postgresql-(\d+)$", names, re.MULTILINE)]
    if not versions:
        raise Unavailable("the system's package sources have no PostgreSQL")
    wanted = [f"postgresql-{max(versions)}", f"postgresql-client-{max(versions)}", "pgbouncer"]
    install = ("install", "--reinstall", "--yes", "--no-install-recommends")
    lacking = re.findall(r"/([^/_]+)_[^/]*\.deb'", _run(*apt, "--print-uris", *install, *wanted))
    chosen = {name for name in lacking if name.startswith("lib") and not name.endswith(("-dev", "-perl"))}
    _run(*apt, "download", *sorted({*wanted, *chosen}), cwd=state)
    return sorted(state.glob("*.deb"))


def _run(*command: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{command[0]} took longer than {DEADLINE_S} s") from error
    if done.returncode:
        words = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise Unavailable(f"{command[0]} failed: {words}")
    return done.stdout
