"""The HTTP server in this process: its socket, its life and its orderly end."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepanalyze.datadir import announce
from deepanalyze.errors import StartupError

if TYPE_CHECKING:
    from deepanalyze.cli.http import HttpServer
    from deepanalyze.runtime import Runtime
    from deepanalyze.settings import Settings


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    url: str
    runtime: Runtime


def listen(host: str, port: int) -> socket.socket:
    """Binds before anything else is opened, so that a port in use is told at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Said outright, because asyncio turns Nagle off (40 ms an answer) only for sockets that say that they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise StartupError(f"cannot listen on {host}:{port}: {_reason(error)}") from None
    listener.setblocking(False)
    return listener


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "the host has no such address; choose another with --host"
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{reason}; name an address of this machine with --host"
    return f"{reason}; choose another with --port (0 takes a free one)"


@asynccontextmanager
async def running(settings: Settings, listener: socket.socket) -> AsyncIterator[Running]:
    """Opens the runtime and answers on `listener` until the block ends; then finishes what runs, and closes all."""
    from deepanalyze.api import create_app
    from deepanalyze.cli.http import HttpServer
    from deepanalyze.runtime import open_runtime

    url = settings.url(listener.getsockname()[1])
    async with open_runtime(settings, base_url=url, beyond=_beyond(listener), first_key=True) as runtime:
        server = HttpServer(create_app(runtime))
        serving = asyncio.create_task(server.serve([listener]), name="http-server")
        try:
            await _until_started(server, serving)
            announce(settings.data_dir, _here(settings, listener))
            yield Running(url=url, runtime=runtime)
        finally:
            server.should_exit = True
            await (
                runtime.analyses.stop()
            )  # so that who follows one is told its end, before the connections go
            await serving


def _here(settings: Settings, listener: socket.socket) -> str:
    """Where this machine reaches it, whatever its name is for others."""
    return settings.model_copy(update={"public_url": None}).url(listener.getsockname()[1])


def _beyond(listener: socket.socket) -> str | None:
    """The address that it listens on, unless only this machine reaches that."""
    address = str(listener.getsockname()[0]).partition("%")[0]
    return None if ipaddress.ip_address(address).is_loopback else address


async def _until_started(server: HttpServer, serving: asyncio.Task[None]) -> None:
    while not server.started:
        if serving.done():
            await serving
            raise StartupError("the HTTP server ended before it was ready")
        await asyncio.sleep(0.005)
