"""What is kept of each deed, and who keeps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Outcome = Literal["ok", "failed", "refused"]
Action = Literal[
    "admin",
    "analyse",
    "browse",
    "cancel",
    "certify",
    "change",
    "cleanup",
    "code_run",
    "configure",
    "create",
    "delete",
    "download",
    "export",
    "fetch",
    "find",
    "login_failure",
    "metadata",
    "preview",
    "prune",
    "query",
    "reload",
    "request",
    "revoke",
    "rotate",
    "schema",
    "statistics",
    "test",
    "upload",
    "use",
    "verify",
]
ObjectType = Literal[
    "api_key", "audit_trail", "configuration", "data_source", "encryption_key", "file", "thread", "user"
]
FREEING: frozenset[Action] = frozenset({"cleanup", "delete", "revoke"})  # possible on a full disk, too
MarkName = Literal["head", "checkpoint"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One deed. `details` is a JSON object as text, because the chain covers its very bytes.

    The object is what was acted on; of a use of a source, `source_id` says it already, and the object is the thread
    that was filled or read, if one was. Both are the last fields, as records without them are sealed as they were
    before there were objects.
    """

    time_ms: int
    action: str
    outcome: Outcome
    request_id: str | None = None
    user_id: str | None = None
    key_id: str | None = None
    client_address: str | None = None
    source_id: str | None = None
    code: str | None = None
    duration_ms: float | None = None
    details: str = "{}"
    object_type: str | None = None
    object_id: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """An entry at its place in the chain."""

    sequence: int
    entry: Entry
    mac: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A signed place in the chain: its `head` (the newest record), or the `checkpoint` that pruning left (the newest
    record that is gone).
    """

    name: MarkName
    sequence: int
    mac: str
    signature: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records a list is about; what is None does not matter. `since_ms` counts in, `until_ms` does not.

    `object_id` also finds the uses of the source with this id.
    """

    user_id: str | None = None
    source_id: str | None = None
    object_id: str | None = None
    action: str | None = None
    outcome: Outcome | None = None
    since_ms: int | None = None
    until_ms: int | None = None


Extend = Callable[[Mark | None], tuple[Sequence[Record], Mark]]
Sign = Callable[[MarkName, int, str], Mark]
Renew = Callable[[Mark], Mark]


class AuditRepository(Protocol):
    """What must survive a restart; implemented by the store. Nothing is ever changed in it."""

    async def append(self, extend: Extend) -> None:
        """In one transaction, beside which there is no other: `extend` makes the records that follow the head, and the
        new head. Returns when they would survive a power cut.
        """

    async def make_room(self) -> None:
        """Called when what waits would be lost: gives up what is kept free on the disk, if there is still some."""

    async def mark(self, name: MarkName) -> Mark | None: ...

    async def is_expected(self) -> bool:
        """Whether there is something beside it that was made with records."""

    async def keys(self) -> Sequence[str]:
        """The chain's earlier keys, encrypted."""

    async def renew(self, keys: Sequence[str], renew: Renew) -> None:
        """In one transaction: keeps these keys instead of those before, and the marks as `renew` makes them."""

    async def after(self, sequence: int, limit: int) -> Sequence[Record]:
        """The next records by sequence, oldest first."""

    async def find(self, wanted: Wanted, *, before: int | None, limit: int) -> Sequence[Record]:
        """Newest first, those with a sequence below `before`."""

    async def prune(self, before_ms: int, sign: Sign) -> int:
        """Removes what comes before the first record that is as young as `before_ms`, never the newest one, and leaves
        a checkpoint. Some at a time, so that nobody waits long for the database; how many it removed.
        """
