"""Where generated code runs: a Jupyter kernel per thread, isolated from the server, its data and the network."""

from deepanalyze.sandbox.base import CodeResult, CodeStatus, Isolation, Kernel, KernelLimits, Sandbox
from deepanalyze.sandbox.opening import SandboxMode, open_sandbox
from deepanalyze.sandbox.pool import KernelPool, Lease

__all__ = [
    "CodeResult",
    "CodeStatus",
    "Isolation",
    "Kernel",
    "KernelLimits",
    "KernelPool",
    "Lease",
    "Sandbox",
    "SandboxMode",
    "open_sandbox",
]
