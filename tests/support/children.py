"""What a server's own processes are given: arguments and environment of whatever it runs, its kernels among them."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.support.canary_net import look

# Python's platform module asks for the processor, for Azure's user agent; the system's own program, gone at once.
_OF_PYTHON_ITSELF = (b"uname\0-p\0",)
_FORKED_AND_NOT_EXECUTED = 0x40  # PF_FORKNOEXEC among the flags of proc(5)'s stat
_LOOKS_AT_A_COPY = 1500  # on a busy machine it may be some time before it executes its program
_EVERY_S = 0.02


@contextlib.contextmanager
def looking_at_children(pid: int) -> Iterator[set[bytes]]:
    """Looks at them until the block ends; the command lines that were seen."""
    ended = threading.Event()
    seen: dict[int, tuple[bytes, bytes]] = {}
    commands: set[bytes] = set()
    copies: Counter[int] = Counter()

    def look_around() -> None:
        while not ended.wait(_EVERY_S):
            for child in descendants(pid):
                if _is_a_copy(child) and copies[child] < _LOOKS_AT_A_COPY:
                    copies[child] += 1
                    continue
                with contextlib.suppress(OSError):
                    given = Path(f"/proc/{child}/environ").read_bytes()
                    command = Path(f"/proc/{child}/cmdline").read_bytes()
                    if seen.get(child) != (given, command) and command not in _OF_PYTHON_ITSELF:
                        seen[child] = (given, command)
                        commands.add(command)
                        shown = command.replace(b"\0", b" ").decode(errors="replace")[:200]
                        look(f"the arguments of a server's process {child} ({shown})", command)
                        look(f"the environment of a server's process {child} ({shown})", given)

    looking = threading.Thread(target=look_around, daemon=True)
    looking.start()
    try:
        yield commands
    finally:
        ended.set()
        looking.join()


def descendants(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found


def _is_a_copy(pid: int) -> bool:
    """Forked, and no program of its own executed yet: for that moment it shows the server's environment, being the
    server. One that stays a copy is looked at all the same.
    """
    with contextlib.suppress(OSError):
        flags = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[6])
        return bool(flags & _FORKED_AND_NOT_EXECUTED)
    return False
