"""The whole server in this process, on a free loopback port, for tests that talk HTTP to it.

`served` lives in the test's own event loop, `serving` in a thread with a loop of its own (for fixtures that outlive
a test). Both open a real runtime; settings can be overridden by name.
"""

from __future__ import annotations

import secrets
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

from deepanalyze.accounts import Grant, Role
from deepanalyze.cli.server import listen, running
from deepanalyze.runtime import Runtime
from deepanalyze.settings import Settings
from tests.support.canaries import canary, canary_fernet_key
from tests.support.canary_net import look_at_directory

T = TypeVar("T")

# Loading the system's certificates for each client takes its time
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    admin_key: str
    runtime: Runtime

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        """As the administrator, or as whoever has the key."""
        headers = bearer(key or self.admin_key)
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60, verify=NO_TLS)

    async def user(self, name: str, role: Role = "analyst", grants: Sequence[Grant] = ()) -> str:
        """Makes a user, and a key for it. To be awaited in the server's loop."""
        user = await self.runtime.accounts.create_user(name, role=role, grants=grants)
        _, key = await self.runtime.accounts.create_key(user.id, "test")
        return key


@dataclass(frozen=True, slots=True)
class ThreadedServer:
    """A server in another thread; what touches its runtime goes through `call`."""

    server: Server
    portal: BlockingPortal

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def admin_key(self) -> str:
        return self.server.admin_key

    @property
    def runtime(self) -> Runtime:
        return self.server.runtime

    def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        return self.portal.call(function, *args)

    def client(self, key: str | None = None) -> httpx.Client:
        headers = bearer(key or self.admin_key)
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, verify=NO_TLS)

    def anonymous(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, verify=NO_TLS)

    def user(self, name: str, role: Role = "analyst", grants: Sequence[Grant] = ()) -> str:
        return self.call(self.server.user, name, role, grants)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@asynccontextmanager
async def served(overrides: Mapping[str, Any] | None = None, **more: Any) -> AsyncIterator[Server]:
    with tempfile.TemporaryDirectory(prefix="deepanalyze-test-") as directory:
        admin_key = f"sk-da-{canary('admin key')}{secrets.token_hex(8)}"
        _put_key(Path(directory))
        chosen = {
            "data_dir": Path(directory),
            "admin_api_key": admin_key,
            "port": 0,
            "auth_failures_per_minute": 10**6,  # tests that share a server share its address
            **(overrides or {}),
            **more,
        }
        settings = Settings(**chosen)
        listener = listen(settings.host, settings.port)
        try:
            async with running(settings, listener) as server:
                yield Server(server.url, admin_key, server.runtime)
        finally:
            listener.close()
            look_at_directory(Path(directory))


def _put_key(data_dir: Path) -> None:
    """Where a server would put one that it makes."""
    (data_dir / "keys").mkdir(mode=0o700)
    key = data_dir / "keys" / "encryption.key"
    key.touch(mode=0o600)
    key.write_text(canary_fernet_key("encryption key") + "\n")


@contextmanager
def serving(overrides: Mapping[str, Any] | None = None, **more: Any) -> Iterator[ThreadedServer]:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(served(overrides, **more)) as server,
    ):
        yield ThreadedServer(server, portal)
