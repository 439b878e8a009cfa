"""The Python environment that kernels run in: where it lies and what has to be visible for it to work."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path

from deepanalyze.errors import SandboxUnavailable

_ASK = (
    "import json, site, sys; print(json.dumps({'executable': sys.executable, 'prefixes': "
    "[sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix], "
    "'user_site': site.getusersitepackages() if site.ENABLE_USER_SITE else None, "
    "'version': list(sys.version_info[:2])}))"
)
_ASK_TIMEOUT_S = 30
# What decides where an interpreter looks; the rest of the server's environment, with its secrets, is not its business.
_ASKED_WITH = ("HOME", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONUSERBASE")
_OLDEST = (3, 11)


@dataclass(frozen=True, slots=True)
class PythonEnvironment:
    """`directories` hold all of it; those below /usr are left out, for the system is visible anyway."""

    executable: str
    directories: tuple[str, ...]
    user_base: str | None = None

    @property
    def bin(self) -> str:
        return os.path.dirname(self.executable)

    def holds(self, path: Path) -> bool:
        """Whether code in a sandbox, which sees the system and this environment, would see `path` too."""
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(directory) for directory in ("/usr", *self.directories))


async def find_environment(python: Path) -> PythonEnvironment:
    """Asks the interpreter itself. Raises SandboxUnavailable when it does not run."""
    try:
        process = await asyncio.create_subprocess_exec(
            python, "-c", _ASK, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={name: os.environ[name] for name in _ASKED_WITH if name in os.environ},
        )  # fmt: skip
        try:
            async with asyncio.timeout(_ASK_TIMEOUT_S):
                output, errors = await process.communicate()
        finally:
            await _ended(process)
        if process.returncode != 0:
            raise ValueError(errors.decode(errors="replace").strip()[-500:])
        answer = json.loads(output)
    except TimeoutError:
        raise SandboxUnavailable(
            f"the kernels' interpreter {python} did not answer within {_ASK_TIMEOUT_S} s"
        ) from None
    except (OSError, ValueError) as error:
        raise SandboxUnavailable(f"the kernels' interpreter {python} does not run: {error}") from None
    if tuple(answer["version"]) < _OLDEST:
        found = ".".join(map(str, answer["version"]))
        raise SandboxUnavailable(
            f"the kernels' interpreter {python} is Python {found}; 3.11 or later is needed"
        )
    return _environment(answer["executable"], answer["prefixes"], answer["user_site"])


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def _environment(executable: str, prefixes: list[str], user_site: str | None) -> PythonEnvironment:
    user_base = None
    directories = {form for prefix in prefixes for form in (prefix, os.path.realpath(prefix))}
    directories |= set(_linked_prefixes(executable))
    if user_site is not None and os.path.isdir(user_site):
        directories.add(user_site)
        user_base = str(Path(user_site).parents[2])
    return PythonEnvironment(executable, tuple(_outermost(directories)), user_base)


def _linked_prefixes(executable: str) -> list[str]:
    """Where a virtual environment's `bin/python` points to, link by link."""
    found = []
    path = executable
    while os.path.islink(path):
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
        directory = os.path.dirname(path)
        if os.path.basename(directory) == "bin":
            found.append(os.path.dirname(directory))
    return found


def _outermost(directories: set[str]) -> list[str]:
    kept: list[str] = []
    for directory in sorted(directories):
        within = any(directory == outer or directory.startswith(outer + "/") for outer in ("/usr", *kept))
        if not within and directory != "/":
            kept.append(directory)
    return kept
