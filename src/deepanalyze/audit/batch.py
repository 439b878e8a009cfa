"""What one transaction writes of the trail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from deepanalyze.audit.chain import Chain
from deepanalyze.audit.records import Entry, Mark, Record

Waiting = tuple[Entry, "asyncio.Future[None]"]


class Batch:
    """A context manager around the transaction. At its beginning what waits is taken away, so that no other transaction
    writes the same; at its end the entries are durable, or wait again.

    Args:
        written: told how many entries had waited, when all are durable.
        own: makes the entry of the change that the transaction makes, as of then.
    """

    def __init__(
        self,
        chain: Chain,
        take: Callable[[], list[Waiting]],
        put_back: Callable[[Sequence[Waiting]], None],
        written: Callable[[int], None],
        own: Callable[[], Entry] | None = None,
    ) -> None:
        self.durable = False
        self._chain = chain
        self._take = take
        self._put_back = put_back
        self._written = written
        self._own = own
        self._taken: list[Waiting] = []

    def __enter__(self) -> Self:
        self._taken = self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._put_back(self._taken)
            return
        self.durable = True
        self._written(len(self._taken))
        for _, future in self._taken:
            if not future.done():
                future.set_result(None)

    def extend(self, head: Mark | None) -> tuple[list[Record], Mark]:
        """The records that follow the head, and the new head. For the transaction, in whatever thread that runs."""
        entries = [entry for entry, _ in self._taken]
        if self._own is not None:
            entries.append(self._own())
        return self._chain.extend(head, entries)
