"""Kernels by thread: one each, at most so many at once, the least recently used idle one makes room; users who wait
are served fairly."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog

from deepanalyze.errors import Busy
from deepanalyze.fairness import FairSlots
from deepanalyze.sandbox.base import Kernel, Sandbox
from deepanalyze.workspace import Workspace

_log = structlog.get_logger()
_RETRY_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class Lease:
    """`fresh`: nothing has run in this kernel yet, so whatever the thread defined earlier is lost."""

    kernel: Kernel
    fresh: bool


@dataclass(eq=False, slots=True)
class _Slot:
    """A place in the pool, taken from when a kernel is wanted until it is gone."""

    starting: asyncio.Task[Kernel]
    leased: bool = False
    used: bool = False
    last_used: float = field(default_factory=time.monotonic)

    @property
    def kernel(self) -> Kernel | None:
        done = self.starting.done() and not self.starting.cancelled() and self.starting.exception() is None
        return self.starting.result() if done else None

    @property
    def is_dead(self) -> bool:
        if not self.starting.done():
            return False
        kernel = self.kernel
        return kernel is None or not kernel.alive


class KernelPool:
    """Use as an async context manager; its end closes every kernel.

    Args:
        max_kernels: kernels at once.
        idle_s: a kernel that nobody used for so long is closed.
        queue_s: how long a lease waits for a free place.
    """

    def __init__(self, sandbox: Sandbox, *, max_kernels: int, idle_s: float, queue_s: float) -> None:
        self._sandbox = sandbox
        self._max_kernels = max_kernels
        self._idle_s = idle_s
        self._slots: dict[str, _Slot] = {}
        self._leases = FairSlots(
            max_kernels,
            wait_s=queue_s,
            busy=f"all {max_kernels} kernels were in use for {queue_s:g} s (kernel_queue_s, max_kernels); "
            "try again later",
        )
        self._closing: set[asyncio.Task[None]] = set()
        self._reaper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reaper = asyncio.create_task(self._close_idle_regularly())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reaper is not None:
            self._reaper.cancel()
        for thread_id in [*self._slots]:
            self._drop(thread_id)
        while self._closing:
            await asyncio.wait([*self._closing])

    def counts(self) -> dict[str, float]:
        running = sum(slot.leased for slot in self._slots.values())
        return {"in_use": running, "idle": len(self._slots) - running, "max": self._max_kernels}

    @contextlib.asynccontextmanager
    async def lease(self, thread_id: str, workspace: Workspace, *, user: str) -> AsyncIterator[Lease]:
        """The thread's kernel, to use alone. Raises Busy after `queue_s` without a place, or when the thread itself
        uses it; SandboxUnavailable.
        """
        async with self._leases.slot(user):
            slot = self._taken(thread_id, workspace)
            try:
                kernel = await asyncio.shield(slot.starting)
                fresh = not slot.used
                slot.used = True
                yield Lease(kernel, fresh)
            finally:
                slot.leased = False
                slot.last_used = time.monotonic()
                if slot.is_dead and self._slots.get(thread_id) is slot:
                    self._drop(thread_id)

    def warm(self, thread_id: str, workspace: Workspace) -> None:
        """Starts the kernel in the background where there is a place; a lease would wait for one."""
        if thread_id not in self._slots and self._make_place():
            self._slots[thread_id] = self._new_slot(workspace)

    async def close_thread(self, thread_id: str) -> None:
        """Ends the thread's kernel, also one in use. Returns when it is gone."""
        closing = self._drop(thread_id)
        if closing is not None:
            await asyncio.shield(closing)

    def _taken(self, thread_id: str, workspace: Workspace) -> _Slot:
        slot = self._slots.get(thread_id)
        if slot is not None and slot.leased:
            raise Busy("this thread is running other code", retry_after_s=_RETRY_AFTER_S)
        if slot is not None and slot.is_dead:
            self._drop(thread_id)
            slot = None
        if slot is None:
            self._make_place()  # there is one, or one to be made: fewer are leased than there may be
            slot = self._slots[thread_id] = self._new_slot(workspace)
        slot.leased = True
        return slot

    def _make_place(self) -> bool:
        """Whether there is one for another kernel, if need be after an idle one has gone."""
        if len(self._slots) < self._max_kernels:
            return True
        idle = [(slot.last_used, thread_id) for thread_id, slot in self._slots.items() if not slot.leased]
        if idle:
            self._drop(min(idle)[1])
        return len(self._slots) < self._max_kernels

    def _new_slot(self, workspace: Workspace) -> _Slot:
        starting = asyncio.create_task(self._start(workspace))
        return _Slot(starting)

    async def _start(self, workspace: Workspace) -> Kernel:
        return await self._sandbox.start_kernel(workspace)

    def _drop(self, thread_id: str) -> asyncio.Task[None] | None:
        slot = self._slots.pop(thread_id, None)
        if slot is None:
            return None
        closing = asyncio.create_task(self._close(slot))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        return closing

    async def _close(self, slot: _Slot) -> None:
        slot.starting.cancel()
        await asyncio.wait([slot.starting])
        if slot.kernel is not None:
            await slot.kernel.close()

    async def _close_idle_regularly(self) -> None:
        while True:
            await asyncio.sleep(min(self._idle_s / 4, 30))
            limit = time.monotonic() - self._idle_s
            for thread_id, slot in [*self._slots.items()]:
                if not slot.leased and (slot.is_dead or slot.last_used <= limit):
                    _log.debug("idle kernel closed", thread_id=thread_id)
                    self._drop(thread_id)
