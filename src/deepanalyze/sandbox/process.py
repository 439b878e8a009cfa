"""A sandboxed process and everything it started, as one thing that ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

_MAX_WORDS_BYTES = 16 * 1024
_READ_BYTES = 256 * 1024
_GRACE_S = 5.0
_LEADER_GRACE_S = 5.0


class SandboxedProcess:
    """Started on the event loop's own thread, because what ends it with its parent counts from that thread.

    `supervised`: its stdin is the lifeline of a supervisor, which ends everything when it is cut. Otherwise it is
    bwrap, whose first child leads the process namespace: bwrap ends after it, and so leaves no orphan for process 1,
    which in a container may be this server.
    """

    def __init__(self, popen: subprocess.Popen[bytes], *, supervised: bool) -> None:
        self._popen = popen
        self._supervised = supervised
        self._handle = os.pidfd_open(popen.pid)
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._handle, self._note_end)

    @classmethod
    def start(cls, arguments: Sequence[str], *, supervised: bool) -> SandboxedProcess:
        """Raises OSError."""
        pipe = subprocess.PIPE
        popen = subprocess.Popen(
            [*arguments], stdin=pipe, stdout=pipe, stderr=pipe, env={}, cwd="/", bufsize=0
        )
        return cls(popen, supervised=supervised)

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

    async def first_line(self) -> bytes:
        """What it says first on stdout; empty when it ends instead. Both its outputs are closed then."""
        assert self._popen.stdout is not None
        line = await _read_until(self._popen.stdout.fileno(), b"\n")
        self._popen.stdout.close()
        return line

    async def output(self, max_bytes: int) -> bytes:
        """All that it says on stdout, until it ends; nothing when that is more than allowed."""
        assert self._popen.stdout is not None
        return await _read_all(self._popen.stdout.fileno(), max_bytes)

    async def complaint(self) -> str:
        """What it said on stderr until now, for a message about a start that failed."""
        assert self._popen.stderr is not None
        os.set_blocking(self._popen.stderr.fileno(), False)
        try:
            return os.read(self._popen.stderr.fileno(), _MAX_WORDS_BYTES).decode(errors="replace").strip()
        except BlockingIOError:
            return ""

    def stop_listening(self) -> None:
        """Closes stderr: nobody reads it any more, and a full pipe would hold the process."""
        if self._popen.stderr is not None:
            self._popen.stderr.close()

    async def wait(self) -> int:
        await self._ended.wait()
        return self._popen.returncode

    async def close(self) -> None:
        """Ends everything; returns when it is gone. Never fails; a second call does nothing."""
        with contextlib.ExitStack() as opened:
            leader = None if self._supervised else self._leader()
            if leader is not None:
                opened.callback(os.close, leader)
            self._cut_lifeline()
            if leader is not None:
                await _until_gone(leader)
            if self._supervised or leader is not None:
                await self._ends_within(_GRACE_S)
            if self.alive:
                self._popen.kill()
            await self._ended.wait()
        self.stop_listening()

    def _cut_lifeline(self) -> None:
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                stream.close()

    async def _ends_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()

    def _leader(self) -> int | None:
        """A handle of the namespace's first process; when that is gone, all in the namespace are."""
        try:
            children = Path(f"/proc/{self._popen.pid}/task/{self._popen.pid}/children").read_text().split()
            return os.pidfd_open(int(children[0]))
        except (OSError, IndexError):
            return None

    def _note_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._handle)
        os.close(self._handle)
        self._popen.wait()
        self._ended.set()


async def _read_until(descriptor: int, end: bytes) -> bytes:
    os.set_blocking(descriptor, False)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    collected = b""
    try:
        while not collected.endswith(end) and len(collected) < _MAX_WORDS_BYTES:
            await readable.wait()
            readable.clear()
            part = os.read(descriptor, _MAX_WORDS_BYTES)
            if not part:
                break
            collected += part
    finally:
        loop.remove_reader(descriptor)
    return collected


async def _read_all(descriptor: int, max_bytes: int) -> bytes:
    os.set_blocking(descriptor, False)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    collected = bytearray()
    try:
        while len(collected) <= max_bytes:
            await readable.wait()
            readable.clear()
            try:
                part = os.read(descriptor, _READ_BYTES)
            except BlockingIOError:  # told of what was read meanwhile
                continue
            if not part:
                return bytes(collected)
            collected += part
    finally:
        loop.remove_reader(descriptor)
    return b""


async def _until_gone(handle: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, gone.set)
    try:
        async with asyncio.timeout(_LEADER_GRACE_S):
            await gone.wait()
    except TimeoutError:  # stuck in the kernel, on a dead network mount for example; SIGKILL waits for it
        pass
    finally:
        loop.remove_reader(handle)
