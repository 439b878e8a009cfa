"""One Jupyter kernel in its sandbox, spoken to over sockets in a directory that only the two can reach."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio

from deepanalyze.sandbox.base import CodeResult, CodeStatus, KernelLimits
from deepanalyze.sandbox.messages import Message, Wire
from deepanalyze.sandbox.output import BlockOutput
from deepanalyze.sandbox.process import SandboxedProcess

_INTERRUPT_GRACE_S = 5.0
_LAST_OUTPUT_GRACE_S = 5.0
_WELCOME_S = 5.0  # older kernels send none
# What waits unread lies in the server's memory: at most the product of the two, for each socket.
_MAX_MESSAGE_BYTES = 1024**2
_MAX_QUEUED_MESSAGES = 32
# Beyond, what a block sends is thrown away unread: a flood must not hold the server.
_MAX_MESSAGES_OF_A_BLOCK = 20_000
_MAX_BYTES_OF_A_BLOCK = 64 * 1024**2
# Between two turns of the event loop; reading a large message takes as long as the loop may be held.
_MESSAGES_AT_A_TIME = 20
_BYTES_AT_A_TIME = 64 * 1024

# The ports are part of the sockets' file names; see `inside/deepanalyze_kernel/kernel.py`.
_SHELL, _IOPUB, _CONTROL = 1, 2, 4


class JupyterKernel:
    """Implements `Kernel`. `on_close` gives back what the sandbox made for it."""

    def __init__(
        self,
        process: SandboxedProcess,
        runtime: Path,
        wire: Wire,
        limits: KernelLimits,
        on_close: Callable[[], Any],
    ) -> None:
        self._process = process
        self._wire = wire
        self._limits = limits
        self._on_close = on_close
        self._context = zmq.asyncio.Context()
        self._shell = self._connected(zmq.DEALER, runtime, _SHELL)
        self._control = self._connected(zmq.DEALER, runtime, _CONTROL)
        self._iopub = self._connected(zmq.SUB, runtime, _IOPUB)
        self._iopub.subscribe(b"")
        self._settling: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._is_heard = False

    @property
    def alive(self) -> bool:
        return self._process.alive and self._closing is None

    async def execute(self, code: str, *, timeout_s: float) -> CodeResult:
        """Runs one block. Cancelling the caller interrupts the block. Raises nothing for what the code does."""
        started = time.monotonic()
        if self._settling is not None:
            await asyncio.wait([self._settling])
        output = BlockOutput(self._limits.output_bytes)
        status = await self._run(code, timeout_s, output) if self.alive else "died"
        elapsed_ms = round((time.monotonic() - started) * 1000)
        return CodeResult(status, output.text(), elapsed_ms, output.truncated)

    async def interrupt(self) -> None:
        """Interrupts the block that runs, which ends with `error` where it lets itself be interrupted."""
        _, frames = self._wire.pack("interrupt_request", {})
        with contextlib.suppress(zmq.ZMQError):
            # A kernel that cut this connection would let a send wait for ever.
            await self._control.send_multipart(frames, flags=zmq.DONTWAIT)

    async def close(self) -> None:
        """Ends the kernel and everything it started. Never fails; a second call waits for the first. Cancelling the
        caller leaves nothing half closed.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
        await self._process.close()
        for socket in (self._shell, self._control, self._iopub):
            socket.close(linger=0)
        await asyncio.to_thread(self._clean_up)

    def _clean_up(self) -> None:
        self._context.term()
        self._on_close()

    async def _run(self, code: str, timeout_s: float, output: BlockOutput) -> CodeStatus:
        block = asyncio.create_task(self._block(code, output))
        ended = asyncio.create_task(self._process.wait())
        try:
            status = await self._outcome(block, ended, timeout_s, output)
        except asyncio.CancelledError:
            self._settling = asyncio.create_task(self._settle(block))
            raise
        finally:
            ended.cancel()
        return status

    async def _outcome(
        self, block: asyncio.Task[CodeStatus], ended: asyncio.Task[int], timeout_s: float, output: BlockOutput
    ) -> CodeStatus:
        await asyncio.wait((block, ended), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if block.done():
            return block.result()
        if ended.done():
            await _abandon(block)
            return "died"
        await self.interrupt()
        await asyncio.wait((block, ended), timeout=_INTERRUPT_GRACE_S, return_when=asyncio.FIRST_COMPLETED)
        if not block.done():
            await _abandon(block)
            await self._process.close()
            output.add(
                "\nThe code did not react to the interrupt; it was ended, and all variables are lost.\n"
            )
        return "timeout"

    async def _settle(self, block: asyncio.Task[CodeStatus]) -> None:
        """After a cancelled block: interrupts it, and ends a kernel that does not stop."""
        await self.interrupt()
        await asyncio.wait((block,), timeout=_INTERRUPT_GRACE_S)
        if not block.done():
            await _abandon(block)
            await self._process.close()

    async def _block(self, code: str, output: BlockOutput) -> CodeStatus:
        """Sends the code and collects its output until the kernel has answered."""
        await self._until_heard()
        request, frames = self._wire.pack(
            "execute_request",
            {
                "code": code,
                "silent": False,
                "store_history": False,
                "allow_stdin": False,
                "stop_on_error": True,
            },
        )
        await self._shell.send_multipart(frames)
        listening = asyncio.create_task(self._listen(request, output))
        try:
            reply = await self._reply(request)
            # A kernel that floods the channel loses messages, also the one that says it is idle.
            await asyncio.wait((listening,), timeout=_LAST_OUTPUT_GRACE_S)
        finally:
            await _abandon(listening)
        return "ok" if reply.content.get("status") == "ok" else "error"

    async def _until_heard(self) -> None:
        """What a kernel prints before it knows that we listen is lost; its first message there says that it does."""
        if self._is_heard:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WELCOME_S):
                await self._iopub.recv_multipart()
        self._is_heard = True

    async def _reply(self, request: str) -> Message:
        while True:
            message = self._wire.unpack(await self._shell.recv_multipart())
            if message is not None and message.type == "execute_reply" and message.parent_id == request:
                return message
            await asyncio.sleep(0)

    async def _listen(self, request: str, output: BlockOutput) -> None:
        count = size = since_turn = 0
        while True:
            frames = await self._iopub.recv_multipart()
            count += 1
            size += (received := sum(map(len, frames)))
            since_turn += received
            if count % _MESSAGES_AT_A_TIME == 0 or since_turn > _BYTES_AT_A_TIME:
                since_turn = 0
                await asyncio.sleep(0)  # what is ready is received without the loop having a turn
            if count > _MAX_MESSAGES_OF_A_BLOCK or size > _MAX_BYTES_OF_A_BLOCK:
                continue
            message = self._wire.unpack(frames)
            if message is None or message.parent_id != request:
                continue
            if message.type == "status" and message.content.get("execution_state") == "idle":
                return
            output.take(message)

    def _connected(self, kind: int, runtime: Path, port: int) -> zmq.asyncio.Socket:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
        socket.setsockopt(zmq.RCVHWM, _MAX_QUEUED_MESSAGES)
        socket.setsockopt(zmq.LINGER, 0)
        # By then code has run in there, and the file may be a link to somebody else's socket.
        socket.setsockopt(zmq.RECONNECT_IVL, -1)
        socket.connect(f"ipc://{runtime}/s-{port}")
        return socket


async def _abandon(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait((task,))
