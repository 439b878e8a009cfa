"""The one writer of the trail, and its readers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Self

import structlog

from deepanalyze.audit.batch import Batch, Waiting
from deepanalyze.audit.chain import START, Chain
from deepanalyze.audit.noted import HeadFile, NotedHead
from deepanalyze.audit.records import AuditRepository, Entry, Record, Wanted
from deepanalyze.audit.statements import StatementMode, statement_details
from deepanalyze.audit.verification import Verification, Walk
from deepanalyze.errors import DeepAnalyzeError, InternalError, InvalidRequest

RETRY_S = 5.0
GATHER_S = 0.05
MAX_BATCH = 500
MAX_WAITING = 10_000
_DAY_MS = 24 * 60 * 60 * 1000

log = structlog.get_logger()


class AuditTrail:
    """Entries are written in the order in which they came, each at once or, where nobody waits for it, together with
    what comes within `GATHER_S`. What comes while a transaction runs shares the next one, so that many cost few. The
    store's own changes carry theirs, and what waits, in the transaction that makes them (`batch`).

    What cannot be written is kept in memory (`MAX_WAITING` entries at most) and tried again; meanwhile `append` fails
    at once, and `check` refuses.

    Args:
        retention_days: `prune` removes what is older; 0 keeps everything.
        noted: where the head is noted when this ends, when it was verified, and by `note_head`.
    """

    def __init__(
        self,
        repository: AuditRepository,
        chain: Chain,
        *,
        statements: StatementMode = "fingerprint",
        retention_days: float = 0,
        noted: HeadFile | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._repository = repository
        self._chain = chain
        self._statements = statements
        self._retention_ms = int(retention_days * _DAY_MS)
        self._noted = noted
        self._clock = clock
        self._waiting: list[Waiting] = []
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._closing = asyncio.Event()
        self._failure: DeepAnalyzeError | None = None
        self._writer: asyncio.Task[None] | None = None
        self._whole = asyncio.Lock()  # no pruning while the chain is verified

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write_as_they_come())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Writes what still waits, at last from the reserve; what cannot be written is told in the log."""
        self._closing.set()
        self._wake.set()
        self._hurry.set()
        if self._writer is not None:
            await self._writer
        if self._waiting:
            await self._repository.make_room()
            while self._waiting and await self._write_some():
                pass
        if self._waiting:
            log.error("audit records are lost with this stop", records=len(self._waiting))
        for entry, _future in self._waiting:
            _log_lost(entry)
        await self.note_head()

    # --- writing ------------------------------------------------------------------------------------------------------

    def append(self, entry: Entry, *, at_once: bool = True) -> asyncio.Future[None]:
        """Done when the entry is durable; fails with InternalError when it cannot be written now."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        if len(self._waiting) >= MAX_WAITING:
            _log_lost(entry)
            future.set_exception(_unwritable(self._failure))
            return future
        if self._failure is not None:
            future.set_exception(_unwritable(self._failure))
        self._waiting.append((entry, future))
        self._wake.set()
        if at_once or len(self._waiting) >= MAX_BATCH:
            self._hurry.set()
        return future

    def check(self) -> None:
        """Raises InternalError while nothing can be written."""
        if self._failure is not None:
            raise _unwritable(self._failure)

    def now_ms(self) -> int:
        return int(self._clock() * 1000)

    def statement(self, sql: str) -> dict[str, Any]:
        return statement_details(sql, self._statements, self._chain)

    async def _write_as_they_come(self) -> None:
        while self._waiting or not self._closing.is_set():
            await self._wake.wait()
            await _set_within(self._hurry, GATHER_S)
            self._wake.clear()
            self._hurry.clear()
            for _ in range(0, len(self._waiting), MAX_BATCH):  # what comes meanwhile wakes us again
                if not await self._write_some():
                    if await _set_within(self._closing, RETRY_S):
                        return
                    self._wake.set()
                    self._hurry.set()
                    break

    def batch(self, own: Callable[[], Entry] | None = None) -> Batch:
        """What one transaction is to write: what waits (`MAX_BATCH` entries at most), and after it its own."""
        return Batch(self._chain, self._take, self._put_back, self._written, own)

    def _take(self) -> list[Waiting]:
        taken, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        return taken

    def _put_back(self, taken: Sequence[Waiting]) -> None:
        self._waiting[:0] = taken
        self._wake.set()

    async def _write_some(self) -> bool:
        batch = self.batch()
        try:
            with batch:
                await self._repository.append(batch.extend)
        except Exception as error:  # noqa: BLE001 - whatever it is, the entries wait and their callers are told
            self._failed(error)
            return False
        return True

    def _written(self, waited: int) -> None:
        if self._failure is not None:
            log.warning("audit trail is written again", waited=waited)
        self._failure = None

    def _failed(self, error: Exception) -> None:
        known = isinstance(error, DeepAnalyzeError)
        if self._failure is None:
            log.error(
                "audit trail cannot be written",
                waiting=len(self._waiting),
                error=str(error),
                exc_info=not known,
            )
        self._failure = error if isinstance(error, DeepAnalyzeError) else InternalError("a defect")
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(_unwritable(self._failure))

    # --- reading ------------------------------------------------------------------------------------------------------

    async def find(
        self, wanted: Wanted, *, before: int | None = None, limit: int = 100
    ) -> tuple[Sequence[Record], int | None]:
        """Newest first, and `before` of the next page, if there is one."""
        found = await self._repository.find(wanted, before=before, limit=limit + 1)
        return found[:limit], found[limit - 1].sequence if len(found) > limit else None

    async def verify(self, expected: NotedHead | None = None) -> Verification:
        """Raises InvalidRequest when what is expected was pruned, InternalError when the noted head cannot be read."""
        noted = await asyncio.to_thread(self._noted.read) if self._noted is not None else None
        async with self._whole:
            heads = [head for head in (expected, noted) if head is not None]
            found = await Walk(self._repository, self._chain, heads).verify()
        if expected is not None and expected.sequence < found.pruned_through:
            raise InvalidRequest(
                f"record {expected.sequence} was pruned, as all up to {found.pruned_through}: expect a newer one",
                param="expect",
            )
        if found.valid:
            await self.note_head()
        return found

    async def note_head(self) -> None:
        """Notes it outside of the database. What was noted before stays when the chain does not hold it any more, so
        that verification tells.
        """
        if self._noted is None:
            return
        try:
            head = await self._repository.mark("head")
            if head is None or not self._chain.signed(head):
                return
            noted = await asyncio.to_thread(self._noted.read)
            if noted is None or await self._holds(noted):
                await asyncio.to_thread(self._noted.write, NotedHead(head.sequence, head.mac))
            else:
                log.error("audit trail lacks a record that was noted", audit_sequence=noted.sequence)
        except (OSError, InternalError) as error:
            log.error("head of the audit trail cannot be noted", error=str(error))

    async def _holds(self, noted: NotedHead) -> bool:
        checkpoint = await self._repository.mark("checkpoint")
        if checkpoint is not None and noted.sequence <= checkpoint.sequence:
            return True
        records = await self._repository.after(noted.sequence - 1, 1)
        return [(record.sequence, record.mac) for record in records] == [(noted.sequence, noted.mac)]

    async def is_ours(self) -> bool:
        """Whether the chain's keys are those that it was sealed with. A head that was tampered with does not make them
        wrong ones while the newest record is as it was written.
        """
        head = await self._repository.mark("head")
        newest = await self._repository.find(Wanted(), before=None, limit=2)
        if not newest:
            return head is None or self._chain.signed(head)
        checkpoint = await self._repository.mark("checkpoint")
        before = newest[1].mac if len(newest) > 1 else checkpoint.mac if checkpoint else START
        return (head is not None and self._chain.signed(head)) or self._chain.follows(before, newest[0])

    async def renew(self, seal: Callable[[str], str]) -> None:
        """Makes the chain's first key the only one that is needed: what is signed with others is signed with it, and
        they are kept, sealed, for the records that they sealed.
        """
        await self._repository.renew([seal(key.hex()) for key in self._chain.earlier], self._chain.renewed)

    async def prune(self) -> int:
        """Removes what is older than the retention, behind a signed checkpoint, and tells so in the trail."""
        if not self._retention_ms:
            return 0
        removed = 0
        before_ms = self.now_ms() - self._retention_ms
        async with self._whole:
            while some := await self._repository.prune(before_ms, self._chain.sign):
                removed += some
        if removed:
            told = f'{{"records": {removed}}}'
            await self.append(Entry(self.now_ms(), "prune", "ok", details=told, object_type="audit_trail"))
        return removed


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _unwritable(failure: DeepAnalyzeError | None) -> InternalError:
    why = failure.message.removesuffix("; nothing was changed") if failure else "too much waits to be written"
    return InternalError(f"the audit trail cannot be written ({why}); changes are refused until it can be")


def _log_lost(entry: Entry) -> None:
    log.error("audit record lost", **{f"audit_{name}": value for name, value in asdict(entry).items()})


def _seen(future: asyncio.Future[None]) -> None:
    """Not every caller waits."""
    if not future.cancelled():
        future.exception()
