"""Threads: conversations with a workspace each, private to who began them, gone some hours after their last use."""

from __future__ import annotations

import asyncio
import builtins
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import structlog

from deepanalyze.accounts import Principal
from deepanalyze.analysis.paging import Page, decode_cursor, page
from deepanalyze.analysis.records import MessageRecord, ThreadRecord, ThreadRepository
from deepanalyze.analysis.running import RunningWork
from deepanalyze.audit import changing, note
from deepanalyze.errors import NotFound
from deepanalyze.workspace import DiskUsage, Workspace, sandbox_uid
from deepanalyze.workspace.removal import remove_tree

T = TypeVar("T")

_HOUR_S = 60 * 60

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ThreadStats:
    """`recent` ones were used within the hour, `old` ones before that, `expired` ones wait to be removed."""

    total_threads: int
    recent_threads: int
    old_threads: int
    expired_threads: int
    workspace_bytes: int

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class Threads:
    """A thread's directory holds `work`, which its code sees, and `staging`, which it does not.

    `on_delete` is called, one after another, before a thread's files and rows go: whoever uses them ends that there.
    """

    def __init__(
        self,
        repository: ThreadRepository,
        directory: Path,
        *,
        ttl_hours: float,
        max_per_user: int = 0,
        usage: DiskUsage | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.on_delete: list[Callable[[str], Awaitable[object]]] = []
        self._work = RunningWork()
        self._repository = repository
        self._directory = directory
        self._ttl_s = int(ttl_hours * _HOUR_S)
        self._max_per_user = max_per_user
        self._usage = usage or DiskUsage()
        self._clock = clock

    async def open(self, principal: Principal, thread_id: str | None) -> ThreadRecord:
        """The thread to bring more into: the user's own of that id, or a new one. Raises NotFound, and QuotaExceeded
        where the user may keep nothing more.
        """
        self._usage.check(principal.user_id)
        return await (self.get(principal, thread_id) if thread_id else self.create(principal))

    async def create(self, principal: Principal) -> ThreadRecord:
        """Raises QuotaExceeded when the user has as many as may be."""
        now = int(self._clock())
        thread = ThreadRecord(
            f"thread-{secrets.token_hex(12)}", principal.user_id, now, now, now + self._ttl_s
        )
        await asyncio.shield(asyncio.ensure_future(self._make(thread)))  # wholly, or not at all
        return thread

    async def _make(self, thread: ThreadRecord) -> None:
        self._usage.register(thread.id, thread.owner_id)
        with changing("create", "thread", thread.id):
            try:
                await asyncio.to_thread(self.workspace(thread.id).create)
                await self._repository.add_thread(thread, at_most=self._max_per_user)
            except BaseException:
                await asyncio.to_thread(remove_tree, self._directory / thread.id)
                self._usage.forget(thread.id)
                raise

    async def get(self, principal: Principal, thread_id: str) -> ThreadRecord:
        """Counts as a use of the thread. Raises NotFound, also for what belongs to others."""
        now = int(self._clock())
        thread = await self._own(principal, thread_id, now)
        if now > thread.last_accessed_at:
            await self.touch(thread_id)
        return replace(thread, last_accessed_at=now, expires_at=now + self._ttl_s)

    async def _own(self, principal: Principal, thread_id: str, now: int) -> ThreadRecord:
        thread = await self._repository.get_thread(thread_id)
        if thread is not None and thread.owner_id != principal.user_id:
            note("find", "refused", object_type="thread", object_id=thread.id, code="not_found")
        if thread is None or thread.owner_id != principal.user_id or thread.expires_at <= now:
            raise NotFound(f"there is no thread {thread_id[:80]!r}; it may have expired", param="thread_id")
        return thread

    async def touch(self, thread_id: str) -> None:
        now = int(self._clock())
        await self._repository.touch_thread(thread_id, now, now + self._ttl_s)

    async def list(
        self, principal: Principal, *, limit: int = 20, cursor: str | None = None
    ) -> Page[ThreadRecord]:
        """Newest first."""
        before = decode_cursor(cursor)
        return page(
            await self._repository.list_threads(principal.user_id, limit=limit + 1, before=before), limit
        )

    async def messages(self, principal: Principal, thread_id: str) -> Sequence[MessageRecord]:
        await self.get(principal, thread_id)
        return await self._repository.list_messages(thread_id)

    async def delete(self, principal: Principal, thread_id: str) -> None:
        # Not `get`, which writes: the disk may be full.
        thread = await self._own(principal, thread_id, int(self._clock()))
        await asyncio.shield(self._remove(thread.id))  # wholly, also when the client goes away

    async def working(self, thread_id: str, work: Coroutine[Any, Any, T]) -> T:
        """What the work on the thread's files returns. Raises Cancelled when the thread is deleted meanwhile."""
        return await self._work.run(thread_id, work)

    @property
    def ttl_hours(self) -> float:
        return self._ttl_s / _HOUR_S

    def workspace(self, thread_id: str) -> Workspace:
        own = self._directory / thread_id
        uid = sandbox_uid(thread_id)
        return Workspace(own / "work", own / "staging", owner_uid=uid, usage=self._usage, place=thread_id)

    async def expire(self, *, unused_hours: float | None = None) -> builtins.list[str]:
        """Removes what has not been used for the time to live, or for `unused_hours`. Returns their ids."""
        now = int(self._clock())
        if unused_hours is not None:
            now += self._ttl_s - int(unused_hours * _HOUR_S)
        removed = []
        for thread in await self._repository.expired_threads(now):
            if await self._is_still_unused(thread.id, now) and await self._remove_or_warn(thread.id):
                removed.append(thread.id)
        return removed

    async def _is_still_unused(self, thread_id: str, now: int) -> bool:
        """Removing those before it took its time."""
        thread = await self._repository.get_thread(thread_id)
        return thread is not None and thread.expires_at <= now

    async def take_stock(self) -> int:
        """Called once at start: measures every workspace, removes directories whose thread is gone, and in the others
        what a crash left on its way into the workspace. Returns how many directories it removed.
        """
        threads = await self._repository.all_threads()
        for thread in threads:
            self._usage.register(thread.id, thread.owner_id)
        known = {thread.id for thread in threads}
        orphans = await asyncio.to_thread(self._directories_besides, known)
        for orphan in orphans:
            await asyncio.to_thread(remove_tree, orphan)
        staged = await asyncio.to_thread(self._put_in_order, known)
        if orphans or staged:
            log.info("what a crash left was removed", workspaces=len(orphans), staged=staged)
        return len(orphans)

    async def stats(self) -> ThreadStats:
        now = int(self._clock())
        ids = [thread.id for thread in await self._repository.all_threads()]
        expired = len(await self._repository.expired_threads(now))
        unused = len(await self._repository.expired_threads(max(now, now + self._ttl_s - _HOUR_S)))
        size = await asyncio.to_thread(lambda: sum(self.workspace(thread_id).size() for thread_id in ids))
        return ThreadStats(len(ids), max(0, len(ids) - unused), max(0, unused - expired), expired, size)

    async def end(self, thread_ids: Iterable[str]) -> None:
        """Ends what uses these threads, and leaves them there."""
        for thread_id in thread_ids:
            await self._work.end(thread_id)
            for tell in self.on_delete:
                await tell(thread_id)

    async def forget(self, thread_ids: Iterable[str]) -> None:
        """Removes what is left of threads whose rows are gone. What resists is removed at the next start."""
        for thread_id in thread_ids:
            await self._remove_or_warn(thread_id)

    async def _remove_or_warn(self, thread_id: str) -> bool:
        try:
            await self._remove(thread_id)
        except OSError as error:  # one that resists must not keep the others
            log.warning("workspace could not be removed", thread_id=thread_id, error=str(error))
            return False
        return True

    async def _remove(self, thread_id: str) -> None:
        with changing("delete", "thread", thread_id):
            await self.end([thread_id])
            # The row goes first: after a crash in between, the directory is an orphan that the next start removes.
            await self._repository.delete_thread(thread_id)
        await asyncio.to_thread(remove_tree, self._directory / thread_id)
        self._usage.forget(thread_id)

    def _put_in_order(self, thread_ids: Iterable[str]) -> int:
        """Measures the workspaces. Returns how many files were on their way into them when the server was killed."""
        staged = 0
        for thread_id in thread_ids:
            workspace = self.workspace(thread_id)
            staged += workspace.clear_staging()
            workspace.measure()
        return staged

    def _directories_besides(self, known: set[str]) -> builtins.list[Path]:
        if not self._directory.exists():
            return []
        return [e for e in self._directory.iterdir() if e.is_dir() and e.name not in known]
