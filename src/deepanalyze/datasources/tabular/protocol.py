"""How tables are read from files: whoever runs the reading program keeps to this."""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

PROGRAMS = Path(__file__).parent  # holds the package `table_worker`
MEMORY_BYTES = 1024**3  # of the process; the engine in it takes half of that and then goes on on disk
MAX_UNPACKED_BYTES = 1024**3
MAX_FILE_BYTES = 4 * 1024**3  # of one that the program writes: what does not fit into memory
MAX_ANSWER_BYTES = 16 * 1024**2  # checking one holds the interpreter
CPU_S = 600  # stands behind the deadline
PARALLEL_READERS = 4  # each may take two processors and the memory above
PARALLEL_SCRATCHES = 16  # each may hold a file that is still arriving

_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from table_worker.{module} import main; main()"


@dataclass(frozen=True, slots=True)
class TableTask:
    """`name` is the file's in its source, `limit` the rows of a preview; an incomplete file is only its beginning."""

    name: str
    action: Literal["preview", "statistics"]
    limit: int = 0
    complete: bool = True


class TableReader(Protocol):
    """Runs the program `table_worker`, a few at a time; who comes later waits."""

    def scratch(self) -> AbstractAsyncContextManager[Path]:
        """A private directory to put one file in for one `read`; it is removed with all that is in it."""

    async def read(self, file: Path, task: TableTask, *, timeout_s: float) -> bytes:
        """What the program printed: nothing when it died, and nothing that can be trusted otherwise.

        Raises TimeoutError when it did not end in that time, of its own, and SandboxUnavailable when it could not be
        started as it has to be. It has ended when this returns or raises, also when it is cancelled.
        """


def program(python: str, file: Path, task: TableTask, *, module: str = "main") -> list[str]:
    """The command, for a process whose working directory is the scratch directory."""
    described = {
        **asdict(task),
        "file": file.name,
        "memory_bytes": MEMORY_BYTES,
        "max_bytes": MAX_UNPACKED_BYTES,
    }
    start = _START.format(module=module)
    return [python, "-P", "-B", "-c", start, str(PROGRAMS), json.dumps(described)]
