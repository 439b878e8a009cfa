"""Runs Azurite's blob server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from deepanalyze.devservices.azurite.install import ENTRY, install_azurite, node_program
from deepanalyze.devservices.process import Command, GuardedProcess
from deepanalyze.devservices.starting import HOST, Service, start_service
from deepanalyze.devservices.state import Directory
from deepanalyze.errors import StartupError

ACCOUNT = "deepanalyze"


@dataclass(frozen=True, slots=True)
class Azurite:
    """A running blob service. `process.pid` is Node's."""

    account_name: str
    account_key: str = field(repr=False)
    blob_endpoint: str
    process: GuardedProcess = field(repr=False)

    @property
    def connection_string(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.account_name};AccountKey={self.account_key};"
            f"BlobEndpoint={self.blob_endpoint};"
        )


@asynccontextmanager
async def open_azurite(directory: Directory) -> AsyncIterator[Azurite]:
    """Starts the service, installing it and making its data directory the first time, and stops it at the end."""
    installed = await install_azurite()
    try:
        (directory.path / "azurite").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StartupError(f"{directory.path / 'azurite'} cannot be made: {error.strerror}") from error
    service = Service(
        name="Azurite",
        command=partial(_command, directory, installed),
        answers=_answers,
        port_taken="EADDRINUSE",
    )
    process, port = await start_service(service, directory.state.azurite_port)
    try:
        directory.state.azurite_port = port
        directory.save()
        endpoint = f"http://{HOST}:{port}/{ACCOUNT}"
        yield Azurite(ACCOUNT, directory.state.account_key, endpoint, process)
    finally:
        await process.stop()


def _command(directory: Directory, installed: Path, port: int) -> Command:
    options = [
        *("--blobHost", HOST, "--blobPort", str(port), "--location", str(directory.path / "azurite")),
        *("--silent", "--disableTelemetry", "--disableProductStyleUrl"),
        "--skipApiVersionCheck",  # the SDKs ask for versions newer than it knows
    ]
    environment = {
        "PATH": os.defpath,
        "AZURITE_ACCOUNTS": f"{ACCOUNT}:{directory.state.account_key}",
        "NODE_COMPILE_CACHE": str(installed / "compile-cache"),
    }
    return Command(
        "Azurite",
        [str(node_program()), str(installed / ENTRY), *options],
        directory=directory.path / "azurite",
        log=directory.path / "azurite.log",
        environment=environment,
        keep_fds=(directory.lock_fd,),
    )


async def _answers(port: int) -> bool:
    """Whether it refuses a request without a signature, as it should."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    try:
        writer.write(f"GET /{ACCOUNT}?comp=list HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
        status = await reader.readline()
        await reader.read()
    except OSError:
        return False
    finally:
        writer.close()
    return b" 403 " in status
