"""Starts a service on a free loopback port and waits until it answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from deepanalyze.devservices.process import Command, GuardedProcess, start_guarded
from deepanalyze.errors import StartupError

HOST = "127.0.0.1"
PORT_ATTEMPTS = 5
START_TIMEOUT_S = 60
ASK_AGAIN_S = 0.02


@dataclass(frozen=True, slots=True)
class Service:
    """How to start one.

    Args:
        command: makes the command line for a port.
        answers: whether the service on a port is ready for work; called again until it says so.
        port_taken: what its log says when somebody else got the port first.
    """

    name: str
    command: Callable[[int], Command]
    answers: Callable[[int], Awaitable[bool]]
    port_taken: str


async def start_service(service: Service, preferred_port: int | None) -> tuple[GuardedProcess, int]:
    for attempt in range(PORT_ATTEMPTS):
        port = free_port(preferred_port if attempt == 0 else None)
        process = await start_guarded(service.command(port))
        try:
            if await _ready(service, process, port):
                return process, port
        except BaseException:
            await process.stop()
            raise
        await process.stop()
    raise StartupError(
        f"{service.name} found no free port on {HOST}: {PORT_ATTEMPTS} were taken by others meanwhile"
    )


def free_port(preferred: int | None = None) -> int:
    """`preferred` when nobody listens there, else one that the kernel chooses."""
    with contextlib.suppress(OSError):
        if preferred:
            return _bindable(preferred)
    return _bindable(0)


def _bindable(port: int) -> int:
    with socket.socket() as probe:
        # As the services do: TIME_WAIT is no obstacle
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        return int(probe.getsockname()[1])


async def _ready(service: Service, process: GuardedProcess, port: int) -> bool:
    """False when the port was taken. Raises StartupError when the service ends or does not answer."""
    ended = asyncio.ensure_future(process.wait())
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not ended.done():
                if await service.answers(port):
                    return True
                await asyncio.wait([ended], timeout=ASK_AGAIN_S)
    except TimeoutError:
        message = f"{service.name} did not answer within {START_TIMEOUT_S} s; its log is {process.log}"
        raise StartupError(message) from None
    finally:
        ended.cancel()
    log = process.log_tail()
    if service.port_taken in log:
        return False
    raise StartupError(f"{service.name} did not start: {_last_word(log)}; its log is {process.log}")


def _last_word(log: str) -> str:
    """The line that says why: the last fatal one, or just the last."""
    lines = [line for line in log.splitlines() if line.strip()]
    fatal = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "rror:"))]
    return (fatal or lines or ["it ended without a word"])[-1].strip()
