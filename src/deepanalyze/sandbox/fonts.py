"""The list of fonts that every kernel's matplotlib needs: made once in the sandbox, kept in the user's cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

import platformdirs

from deepanalyze.sandbox.environment import PythonEnvironment
from deepanalyze.workspace import Workspace

_MAX_BYTES = 8 * 1024**2
_PREFIX, _SUFFIX = "fontlist-v", ".json"


class FontList:
    """`file` is its name and content, once it is known."""

    def __init__(self, python: PythonEnvironment) -> None:
        key = hashlib.sha256("\0".join((python.executable, *python.directories)).encode()).hexdigest()[:16]
        self._directory = Path(platformdirs.user_cache_dir("deepanalyze"), "fonts", key)
        self.file: tuple[str, bytes] | None = None

    def load(self) -> None:
        """From an earlier start, if there was one."""
        with contextlib.suppress(OSError):
            for path in self._directory.glob(f"{_PREFIX}*{_SUFFIX}"):
                self.file = (path.name, path.read_bytes())

    def take(self, workspace: Workspace) -> None:
        """What the sandbox made."""
        for listed in workspace.list():
            if (
                not listed.name.startswith(_PREFIX)
                or not listed.name.endswith(_SUFFIX)
                or listed.size > _MAX_BYTES
            ):
                continue
            descriptor, _ = workspace.open(listed.name)
            with open(descriptor, "rb") as file:
                self.file = (listed.name, file.read(_MAX_BYTES))
            self._keep()

    def _keep(self) -> None:
        assert self.file is not None
        name, content = self.file
        with contextlib.suppress(OSError):  # a home that cannot be written: made anew at the next start
            self._directory.mkdir(parents=True, exist_ok=True)
            temporary = self._directory / f".{secrets.token_hex(8)}"
            temporary.write_bytes(content)
            os.replace(temporary, self._directory / name)
