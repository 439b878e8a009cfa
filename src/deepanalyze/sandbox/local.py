"""The sandbox on this machine: starts kernels behind whichever confinement works here."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from deepanalyze.errors import SandboxUnavailable
from deepanalyze.sandbox.base import Isolation, KernelLimits
from deepanalyze.sandbox.environment import PythonEnvironment
from deepanalyze.sandbox.fonts import FontList
from deepanalyze.sandbox.kernel import JupyterKernel
from deepanalyze.sandbox.messages import Wire
from deepanalyze.sandbox.plan import Confinement, Places
from deepanalyze.sandbox.process import SandboxedProcess
from deepanalyze.sandbox.runtime_dir import remove_runtime_dir
from deepanalyze.sandbox.spare import made_runtime_dir, spare_workspace
from deepanalyze.sandbox.tables import SandboxedTables
from deepanalyze.workspace import Workspace

_READY = b"ready\n"
_PROBE = ["-I", "-S", "-c", "print('ready')"]
_PROGRAM_TIMEOUT_S = 30.0
_LAST_WORDS_S = 5.0


class LocalSandbox:
    """Implements `Sandbox`."""

    def __init__(
        self,
        confinement: Confinement,
        python: PythonEnvironment,
        limits: KernelLimits,
        preload: Sequence[str] = (),
        *,
        server: PythonEnvironment,
    ) -> None:
        self.tables = SandboxedTables(confinement, server)
        self._confinement = confinement
        self._preload = preload
        self._python = python
        self._limits = limits
        self._fonts = FontList(python)
        self._making_fonts: asyncio.Task[None] | None = None

    @property
    def isolation(self) -> Isolation:
        return self._confinement.isolation

    def exposes(self, path: Path) -> bool:
        return self.isolation.name != "none" and self._python.holds(path)

    async def probe(self) -> None:
        """Runs a trivial program in it. Raises SandboxUnavailable when that fails."""
        async with spare_workspace() as workspace:
            await self._run_to_ready(lambda _: [self._python.executable, *_PROBE], workspace)
        await asyncio.to_thread(self._fonts.load)

    async def start_kernel(self, workspace: Workspace) -> JupyterKernel:
        """Raises SandboxUnavailable when code cannot be isolated or the interpreter cannot start."""
        key = secrets.token_hex(32)
        files = {"key": key.encode()}
        if self._fonts.file is not None:
            name, content = self._fonts.file
            files[name] = content
        elif self._making_fonts is None or self._making_fonts.cancelled():
            self._making_fonts = asyncio.create_task(self._make_fonts())
        runtime = await made_runtime_dir(files, workspace)
        try:
            program = self._kernel_program(self._confinement.places(workspace, runtime))
            process = await self._started(program, workspace, runtime, self._limits.start_timeout_s)
        except BaseException:
            await asyncio.to_thread(remove_runtime_dir, runtime)
            raise
        return JupyterKernel(process, runtime, Wire(key), self._limits, lambda: remove_runtime_dir(runtime))

    async def _make_fonts(self) -> None:
        """For the kernels to come: the first makes its own."""
        program = [self._python.executable, "-P", "-m", "deepanalyze_kernel.fonts"]
        with contextlib.suppress(SandboxUnavailable):  # no matplotlib, for example
            async with spare_workspace() as workspace:
                await self._run_to_ready(lambda places: [*program, places.workspace], workspace)
                await asyncio.to_thread(self._fonts.take, workspace)

    async def _run_to_ready(self, program: Callable[[Places], list[str]], workspace: Workspace) -> None:
        runtime = await made_runtime_dir({}, workspace)
        try:
            places = self._confinement.places(workspace, runtime)
            process = await self._started(program(places), workspace, runtime, _PROGRAM_TIMEOUT_S)
            await process.close()
        finally:
            await asyncio.to_thread(remove_runtime_dir, runtime)

    async def _started(
        self, program: list[str], workspace: Workspace, runtime: Path, timeout_s: float
    ) -> SandboxedProcess:
        command = await asyncio.to_thread(self._confinement.command, program, workspace, runtime)
        try:
            process = SandboxedProcess.start(command, supervised=self._confinement.supervised)
        except OSError as error:
            raise SandboxUnavailable(f"the sandbox could not be started: {error.strerror}") from None
        try:
            async with asyncio.timeout(timeout_s):
                line = await process.first_line()
            if line != _READY:
                raise SandboxUnavailable(f"the sandbox ended while it started: {await _last_words(process)}")
        except TimeoutError:
            await process.close()
            raise SandboxUnavailable(f"the sandbox was not ready after {timeout_s:g} s") from None
        except BaseException:
            await process.close()
            raise
        process.stop_listening()
        return process

    def _kernel_program(self, places: Places) -> list[str]:
        module = ["-P", "-m", "deepanalyze_kernel.kernel"]
        bound = str(2 * self._limits.output_bytes)  # the kernel's honesty must not hide that the server cuts
        return [self._python.executable, *module, places.runtime, places.workspace, bound, *self._preload]


async def _last_words(process: SandboxedProcess) -> str:
    status: int | None = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS_S):
            status = await process.wait()
    complaint = await process.complaint()
    return complaint.splitlines()[-1] if complaint else f"exit status {status}"
