"""Real PostgreSQL and Azurite for the tests; the fixtures are in `tests/conftest.py`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio.from_thread import BlockingPortal

from deepanalyze.devservices.postgres import PostgresServer, open_postgres
from deepanalyze.devservices.state import open_directory
from tests.support.canaries import canary, canary_key, legitimate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.storage.blob import ContainerClient

    from deepanalyze.devservices.azurite import Azurite


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """A database of one test. The analyst may read every table that is made in `public` over `admin_dsn`."""

    name: str
    admin_dsn: str
    analyst_dsn: str
    analyst_config: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class BlobContainer:
    """A container of one test."""

    name: str
    connection_string: str = field(repr=False)
    account_name: str
    account_key: str = field(repr=False)
    blob_endpoint: str
    client: ContainerClient


@asynccontextmanager
async def run_postgres(path: Path) -> AsyncIterator[PostgresServer]:
    async with open_directory(path) as directory:
        directory.state.superuser_password = canary("database superuser")
        directory.state.analyst_password = canary("database analyst")
        async with open_postgres(directory, durable=False) as server:
            yield server


@asynccontextmanager
async def run_azurite(path: Path) -> AsyncIterator[Azurite]:
    from deepanalyze.devservices.azurite import open_azurite

    async with open_directory(path) as directory, AsyncExitStack() as stack:
        directory.state.account_key = canary_key("storage account")
        with legitimate("Azurite takes its accounts' keys from its environment only"):
            azurite = await stack.enter_async_context(open_azurite(directory))
        yield azurite


@contextmanager
def fresh_database(portal: BlockingPortal, server: PostgresServer) -> Iterator[PostgresDatabase]:
    name = f"test_{secrets.token_hex(6)}"
    portal.call(server.create_database, name)
    try:
        yield PostgresDatabase(name, server.dsn(name), server.analyst_dsn(name), server.analyst_config(name))
    finally:
        portal.call(server.drop_database, name)


@contextmanager
def fresh_container(azurite: Azurite) -> Iterator[BlobContainer]:
    from azure.storage.blob import ContainerClient

    name = f"test-{secrets.token_hex(6)}"
    with ContainerClient.from_connection_string(azurite.connection_string, name) as client:
        client.create_container()
        yield BlobContainer(
            name=name,
            connection_string=azurite.connection_string,
            account_name=azurite.account_name,
            account_key=azurite.account_key,
            blob_endpoint=azurite.blob_endpoint,
            client=client,
        )
        client.delete_container()


def gone(pid: int) -> bool:
    """Whether no process has this pid; who has ended and only waits to be noticed counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def processes_in(directory: Path) -> list[int]:
    """The living processes whose working directory lies in `directory`, as those of all services do."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(directory.resolve()):
                found.append(int(entry.name))
    return found
