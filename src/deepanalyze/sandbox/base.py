"""What runs generated code: a sandbox starts kernels, a kernel runs code blocks and keeps their variables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from deepanalyze.datasources.tabular.protocol import TableReader
from deepanalyze.workspace import Workspace

CodeStatus = Literal["ok", "error", "timeout", "died"]


@dataclass(frozen=True, slots=True)
class KernelLimits:
    memory_mb: int = 2048
    processes: int = 128
    file_bytes: int = 1024**3
    output_bytes: int = 256 * 1024
    tmp_bytes: int = 512 * 1024**2
    cpu_s: int = 4 * 3600
    start_timeout_s: float = 60


@dataclass(frozen=True, slots=True)
class CodeResult:
    """What a code block printed, displayed and raised, in order, as text; head and tail kept when it is too long.

    `error`: it raised. `timeout`: it was interrupted at its limit; variables survive where the interrupt worked.
    `died`: the kernel ended (out of memory, os._exit); its variables are lost.
    """

    status: CodeStatus
    output: str
    elapsed_ms: int
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Isolation:
    """How code is isolated here, for `/health/ready` and the start-up message."""

    name: Literal["bubblewrap", "landlock", "none", "unavailable"]
    weaker: tuple[str, ...] = ()  # what this way cannot do that bubblewrap can, a sentence each
    remedy: str | None = None  # what an administrator can do to get bubblewrap


class Kernel(Protocol):
    """One interpreter of one thread. Not safe for concurrent `execute`."""

    @property
    def alive(self) -> bool: ...

    async def execute(self, code: str, *, timeout_s: float) -> CodeResult:
        """Runs one block. Cancelling the caller interrupts the block. Raises nothing for what the code does."""

    async def interrupt(self) -> None:
        """Interrupts the block that runs, which ends with `error` where it lets itself be interrupted."""

    async def close(self) -> None:
        """Ends the kernel and everything it started. Never fails; a second call does nothing."""


class Sandbox(Protocol):
    @property
    def isolation(self) -> Isolation: ...

    @property
    def tables(self) -> TableReader:
        """Reads files of strangers, isolated in the same way."""

    def exposes(self, path: Path) -> bool:
        """Whether isolated code could read what lies there, because the interpreter or the system does too."""

    async def start_kernel(self, workspace: Workspace) -> Kernel:
        """Raises SandboxUnavailable when code cannot be isolated or the interpreter cannot start."""
