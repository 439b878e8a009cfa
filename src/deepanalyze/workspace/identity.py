"""Which real user runs a thread's code.

A server that runs as root gives every thread an unprivileged uid of its own, because limits do not bind root and
because files of one thread must be no other's. Any other server has only its own uid to give.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

# systemd's table of uids leaves 0x70000000–0x7fffffff to nobody; in a container that maps fewer ids the
# threads share what is left above the ordinary users.
_UNUSED_BY_ANYONE = (0x7000_0000, 0x8000_0000)
_ABOVE_ORDINARY_USERS = (20_000, 60_000)
_CAP_CHOWN, _CAP_SETGID, _CAP_SETUID = 0, 6, 7


def sandbox_uid(thread_id: str) -> int | None:
    """The unprivileged real uid of a thread's code when the server is root, else None."""
    if not _may_change_users():
        return None
    first, end = _UNUSED_BY_ANYONE if _is_mapped(_UNUSED_BY_ANYONE[1] - 1) else _ABOVE_ORDINARY_USERS
    digest = hashlib.sha256(thread_id.encode("utf-8", "surrogatepass")).digest()
    return first + int.from_bytes(digest[:8], "big") % (end - first)


def _may_change_users() -> bool:
    if os.geteuid() != 0:
        return False
    needed = 1 << _CAP_CHOWN | 1 << _CAP_SETGID | 1 << _CAP_SETUID
    return effective_capabilities() & needed == needed


def effective_capabilities() -> int:
    """The calling process's effective capabilities as the kernel's bit mask."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _is_mapped(uid: int) -> bool:
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        inside, _, length = (int(field) for field in line.split())
        if inside <= uid < inside + length:
            return True
    return False
