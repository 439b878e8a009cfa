"""Walking the chain from its checkpoint to its head, some records at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from deepanalyze.audit.chain import START, Chain
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
    """Nothing may be pruned meanwhile; records may be added."""

    repository: AuditRepository
    chain: Chain
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
        return await self._follow()

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
            return self._headless()
        if not self.chain.signed(head):
            return self._broken(self._last + 1, "the chain's signed head was changed")
        if head.sequence > self._last:
            missing = f"records {self._last + 1} to {head.sequence}, the newest, are gone"
            return self._broken(self._last + 1, missing)
        if (head.sequence, head.mac) != (self._last, self._mac):
            return self._broken(self._last, "the chain's head is an older one")
        return self._result()

    def _headless(self) -> Verification:
        if self._last:
            return self._broken(self._last + 1, "the chain's signed head is gone")
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
        return None

    def _result(self) -> Verification:
        return Verification(self._last - self._pruned, self._pruned, self._last, self._mac)

    def _broken(self, sequence: int, reason: str) -> Verification:
        return Verification(self._last - self._pruned, self._pruned, self._last, self._mac, sequence, reason)
