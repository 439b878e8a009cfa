"""Makes everything that `make demo` and `make test` need, on a machine with Python 3.11+ and a package registry.

Runs on the standard library alone, because nothing else is there yet: no pip, no venv module, no uv, no Node.
uv itself is locked in uv.lock like every other package, so its wheel is fetched by that entry and checked by its hash.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

if sys.version_info < (3, 11):
    sys.exit(f"Python 3.11 or newer is needed; {sys.executable} is {sys.version.split()[0]}.")

import tomllib

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".setup-complete"
ATTEMPTS = 3


def main() -> None:
    uv = find_uv() or fetch_uv()
    environment = {
        **os.environ,
        "UV_SYSTEM_CERTS": "1",  # companies add their own authorities to the system's store
        "UV_NATIVE_TLS": "1",  # the same setting's name in older versions
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_PROJECT_ENVIRONMENT": str(VENV),
        "UV_LINK_MODE": os.environ.get("UV_LINK_MODE", "copy" if on_other_file_system() else "hardlink"),
        "UV_HTTP_TIMEOUT": os.environ.get("UV_HTTP_TIMEOUT", "180"),
    }
    environment.pop("VIRTUAL_ENV", None)
    run(
        [uv, "sync", "--frozen", "--extra", "dev", "--compile-bytecode", "--python", sys.executable],
        environment,
    )
    python = str(VENV / "bin" / "python")
    run([python, "-m", "compileall", "-q", "src"], environment)
    run([python, "-m", "deepanalyze.devservices.install"], environment)
    STAMP.write_text(time.strftime("%Y-%m-%dT%H:%M:%SZ\n", time.gmtime()))


def run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if done.returncode != 0:
        sys.exit(f"set-up stopped: `{' '.join(command)}` ended with {done.returncode}")


def on_other_file_system() -> bool:
    """uv warns when it cannot hard-link from its cache; ask it for copies where that is known beforehand."""
    cache = Path(os.environ.get("UV_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    while not cache.exists():
        cache = cache.parent
    return cache.stat().st_dev != ROOT.stat().st_dev


def find_uv() -> str | None:
    """A uv on the PATH that is recent enough to read the lock file, or the one fetched before."""
    for candidate in (shutil.which("uv"), str(ROOT / ".tools" / "uv")):
        if candidate and os.access(candidate, os.X_OK) and version_of(candidate) >= (0, 8):
            return candidate
    return None


def version_of(uv: str) -> tuple[int, ...]:
    try:
        told = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ()
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", told)
    return tuple(int(part) for part in found.groups()) if found else ()


def fetch_uv() -> str:
    wheel = locked_wheel()
    data = download(wheel["url"], wheel["hash"].removeprefix("sha256:"))
    target = ROOT / ".tools" / "uv"
    target.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        member = next(name for name in archive.namelist() if name.endswith("/scripts/uv"))
        partial = target.with_suffix(".part")
        partial.write_bytes(archive.read(member))
    partial.chmod(0o755)
    partial.rename(target)
    return str(target)


def locked_wheel() -> dict[str, str]:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    package = next(p for p in lock["package"] if p["name"] == "uv")
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    for wheel in package["wheels"]:
        name = wheel["url"].rsplit("/", 1)[-1]
        if libc in name and name.endswith(f"_{platform.machine()}.whl"):
            return wheel
    sys.exit(f"uv has no wheel for {libc} on {platform.machine()}; install uv by hand and run this again.")


def download(url: str, sha256: str) -> bytes:
    problem: Exception | None = None
    for attempt in range(ATTEMPTS):
        for place in (url, *mirror_of(url)):
            try:
                with urllib.request.urlopen(place, timeout=180) as answer:
                    data: bytes = answer.read()
            except OSError as error:
                problem = error
                continue
            if hashlib.sha256(data).hexdigest() == sha256:
                return data
            problem = ValueError(f"{place} does not have the locked SHA-256")
        time.sleep(attempt)
    sys.exit(f"uv could not be fetched: {problem}. Check the network, or install uv 0.8 or newer by hand.")


def mirror_of(url: str) -> list[str]:
    """The same file on the index that pip or uv is told to use, for networks that only reach a mirror."""
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL")
    if not index:
        return []
    name = url.rsplit("/", 1)[-1]
    request = urllib.request.Request(
        f"{index.rstrip('/')}/uv/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            files = json.load(answer)["files"]
    except (OSError, ValueError, KeyError):
        return []
    return [urllib.parse.urljoin(request.full_url, f["url"]) for f in files if f["filename"] == name]


if __name__ == "__main__":
    main()
