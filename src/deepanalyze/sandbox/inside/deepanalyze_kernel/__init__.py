"""What runs inside the sandbox, under whatever interpreter the kernels have.

It must import nothing of the server: `launcher`, `landlock` and `seccomp` use the standard library only, `typed` pandas
and pyarrow, the rest needs ipykernel. `load` is for generated code.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "load":  # not sooner: the launcher must start fast
        from .loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
