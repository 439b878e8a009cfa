"""Runs the code blocks of one analysis in its thread's kernel."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from deepanalyze.analysis.events import Event, Execute, File, Text
from deepanalyze.analysis.limits import head_and_tail
from deepanalyze.analysis.quota_watch import watched
from deepanalyze.analysis.records import ThreadRecord
from deepanalyze.analysis.transcript import execute_block, file_block
from deepanalyze.audit import Deed
from deepanalyze.sandbox.base import CodeResult
from deepanalyze.sandbox.pool import KernelPool
from deepanalyze.telemetry import Telemetry
from deepanalyze.workspace import Workspace, WorkspaceFile

_VARIABLES_LOST = (
    "[A new Python session was started: the variables of earlier blocks are gone, the files are there.]"
)
_DIED = (
    "[The Python session ended here: it ran out of memory, or the code ended it. "
    "Its variables are gone, the files are there.]"
)


_OVER_QUOTA = (
    "[The user's files now take more than this server lets one keep (max_workspace_bytes_per_user). "
    "Delete what you wrote and no longer need, else the analysis ends.]"
)


@dataclass(frozen=True, slots=True)
class Executed:
    """One code block that has run. `output` is what the model is told and the answer's text shows; `over_quota`: the
    user keeps more on the disk than may be.
    """

    block: int
    result: CodeResult
    files: tuple[WorkspaceFile, ...]
    output: str
    over_quota: bool

    def events(self) -> Iterator[Event]:
        yield Execute(self.block, self.result.status, self.result.output, self.result.elapsed_ms)
        yield Text(execute_block(self.output))
        if self.files:
            yield Text(file_block(self.files))
        for file in self.files:
            yield File(file)


class CodeRunner:
    """A kernel is leased for each block anew: between blocks, while the model writes, an idle one may serve others.

    Args:
        ran_before: earlier answers of the thread had code, so a fresh kernel has lost what it defined.
    """

    def __init__(
        self,
        kernels: KernelPool,
        thread: ThreadRecord,
        workspace: Workspace,
        *,
        max_output_chars: int,
        ran_before: bool,
        telemetry: Telemetry,
    ) -> None:
        self.files: dict[str, WorkspaceFile] = {}
        self.blocks = 0
        self._kernels = kernels
        self._thread = thread
        self._workspace = workspace
        self._max_output_chars = max_output_chars
        self._has_variables = ran_before
        self._telemetry = telemetry

    def warm(self) -> None:
        """Starts the kernel in the background, to hide its start-up."""
        self._kernels.warm(self._thread.id, self._workspace)

    async def run(self, code: str, *, timeout_s: float) -> Executed:
        """Raises Busy and SandboxUnavailable. Cancelling interrupts the code."""
        self.blocks += 1
        # The code itself is in the thread; its digest says which it was.
        digest = hashlib.sha256(code.encode(errors="surrogatepass")).hexdigest()
        deed = Deed("code_run", "thread", self._thread.id, {"code_sha256": digest}, change=False)
        with deed.recorded() as facts:
            leased = self._kernels.lease(self._thread.id, self._workspace, user=self._thread.owner_id)
            async with leased as lease:
                before = await asyncio.to_thread(self._workspace.snapshot)
                async with watched(lease.kernel, self._workspace):
                    result = await lease.kernel.execute(code, timeout_s=timeout_s)
                files = await asyncio.to_thread(self._workspace.changes_since, before)
                _, within_quota = await asyncio.to_thread(self._workspace.measure)
                lost = lease.fresh and self._has_variables
            facts.update(block=self.blocks, status=result.status, files=len(files))
            deed.failed = result.status != "ok"
            self._telemetry.code_ran(result.status, result.elapsed_ms / 1000)
        self._has_variables = result.status != "died"
        self.files.update({file.name: file for file in files})
        notes = {
            "timeout": f"[The code was stopped after {timeout_s:.3g} s. Take a smaller step.]",
            "died": _DIED,
        }
        output = head_and_tail(result.output.strip("\n"), self._max_output_chars)
        told = [
            _VARIABLES_LOST if lost else "",
            output,
            notes.get(result.status, ""),
            "" if within_quota else _OVER_QUOTA,
        ]
        text = "\n".join(filter(None, told)) or "(no output)"
        return Executed(self.blocks, result, tuple(files), text, not within_quota)
