"""Walking the chain from its checkpoint to its head, some records at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from deepanalyze.audit.chain import START, Chain
from deepanalyze.audit.noted import NotedHead
from deepanalyze.audit.records import AuditRepository, Record

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Verification:
    """`first_broken` is the sequence number at which the chain does not hold any more, `reason` says why."""

    records: int
    pruned_through: int
    head_sequence: int
    head_mac: str
    first_broken: int | None = None
    reason: str | None = None

    @property
    def valid(self) -> bool:
        return self.first_broken is None


@dataclass(slots=True)
class Walk:
    """Nothing may be pruned meanwhile; records may be added.

    `noted`: what must be in the chain; what was pruned is not asked for any more.
    """

    repository: AuditRepository
    chain: Chain
    noted: Sequence[NotedHead] = ()
    _pruned: int = 0
    _last: int = 0
    _mac: str = field(default=START)

    async def verify(self) -> Verification:
        checkpoint = await self.repository.mark("checkpoint")
        if checkpoint is not None:
            if not self.chain.signed(checkpoint):
                return self._broken(1, "the checkpoint that pruning left was changed")
            self._pruned = self._last = checkpoint.sequence
            self._mac = checkpoint.mac
            if (other := self._other_than_noted()) is not None:
                return other
        found = await self._follow()
        newest = max((head.sequence for head in self.noted), default=0)
        if found.valid and newest > self._last:
            return self._broken(
                self._last + 1, f"record {newest} was noted, but there is none after {self._last}"
            )
        return found

    async def _follow(self) -> Verification:
        while True:
            head = await self.repository.mark("head")  # before the records: they are at least as new
            records = await self.repository.after(self._last, _AT_ONCE)
            if not records:
                break
            broken = await asyncio.to_thread(self._take, records)
            if broken is not None:
                return broken
        if head is None:
            return await self._headless()
        if not self.chain.signed(head):
            return self._broken(self._last + 1, "the chain's signed head was changed")
        if head.sequence > self._last:
            missing = f"records {self._last + 1} to {head.sequence}, the newest, are gone"
            return self._broken(self._last + 1, missing)
        if (head.sequence, head.mac) != (self._last, self._mac):
            return self._broken(self._last, "the chain's head is an older one")
        return self._result()

    async def _headless(self) -> Verification:
        if self._last:
            return self._broken(self._last + 1, "the chain's signed head is gone")
        if await self.repository.is_expected():
            return self._broken(1, "the trail is empty, but the store is not: all records are gone")
        return self._result()

    def _take(self, records: Sequence[Record]) -> Verification | None:
        for record in records:
            if record.sequence != self._last + 1:
                return self._broken(self._last + 1, f"the record is gone; the next one is {record.sequence}")
            if not self.chain.follows(self._mac, record):
                return self._broken(
                    record.sequence,
                    "the record was changed, or sealed with an encryption key that this server does not have",
                )
            self._last, self._mac = record.sequence, record.mac
            if (other := self._other_than_noted()) is not None:
                return other
        return None

    def _other_than_noted(self) -> Verification | None:
        if all(head.mac == self._mac for head in self.noted if head.sequence == self._last):
            return None
        return self._broken(self._last, "the record is another one than was noted")

    def _result(self) -> Verification:
        return Verification(self._last - self._pruned, self._pruned, self._last, self._mac)

    def _broken(self, sequence: int, reason: str) -> Verification:
        return Verification(self._last - self._pruned, self._pruned, self._last, self._mac, sequence, reason)
