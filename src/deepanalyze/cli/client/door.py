"""The HTTP API to ask: a server's, or one in this process over a data directory that no server holds."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, cast

import httpx

from deepanalyze.accounts import Accounts, Principal, User
from deepanalyze.cli.client.where import Where
from deepanalyze.datadir import DataDir, served_at
from deepanalyze.errors import ConfigurationError, StartupError

if TYPE_CHECKING:
    from deepanalyze.runtime import Runtime
    from deepanalyze.settings import Settings

CONNECT_S = 10
_GIVE_A_KEY = "pass --api-key-file or --api-key, or set DEEPANALYZE_API_KEY_FILE or DEEPANALYZE_API_KEY"


@asynccontextmanager
async def opened(where: Where) -> AsyncIterator[httpx.AsyncClient]:
    """The server that is named; else the data directory, or the running server that holds it."""
    async with AsyncExitStack() as stack:
        server = where.url()
        client = await _local(stack, where) if server is None else _remote(server, where.key())
        yield await stack.enter_async_context(client)


def _remote(server: str, api_key: str | None) -> httpx.AsyncClient:
    """Waits as long as an answer takes: the limits are the server's."""
    try:
        parts = httpx.URL(server)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"--server {server[:200]!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ConfigurationError(
            f"--server {server[:200]!r} must begin with http:// or https:// and name a host"
        )
    if parts.userinfo:
        raise ConfigurationError(
            "--server must not hold a user name or password; the API key has its own option"
        )
    if not api_key:
        raise ConfigurationError(f"the server at {server} wants an API key: {_GIVE_A_KEY}")
    return httpx.AsyncClient(
        base_url=parts,
        headers={"Authorization": f"Bearer {api_key}"},
        timeout=httpx.Timeout(None, connect=CONNECT_S),
        verify=parts.scheme == "https",  # loading the system's certificates takes its time
    )


async def _local(stack: AsyncExitStack, where: Where) -> httpx.AsyncClient:
    """As administrator: who can open the data directory can read everything in it anyway."""
    from deepanalyze.logging import configure_logging
    from deepanalyze.runtime import open_runtime
    from deepanalyze.settings import load_settings

    settings = load_settings({"data_dir": where.data_dir}, where.config)
    configure_logging("error", settings.log_format)
    # A first start shows the admin key, which is `serve`'s to do
    if not DataDir(settings.data_dir).store.exists():
        raise StartupError(
            f"there is no DeepAnalyze in {settings.data_dir}: start `deepanalyze serve` once, choose another directory "
            "with --data-dir, or name a server with --server (or DEEPANALYZE_SERVER)"
        )
    try:
        runtime = await stack.enter_async_context(open_runtime(settings))
    except StartupError as error:
        if not isinstance(error.__cause__, BlockingIOError):
            raise
        server = served_at(settings.data_dir)
        if server is None:  # another command has it for a moment, or somebody else's server
            raise
        return _holding(server, settings, where)
    return _in_process(runtime)


def _holding(server: str, settings: Settings, where: Where) -> httpx.AsyncClient:
    """The running server's, with the key that is given or, as it is the configured one, the administrator's."""
    configured = settings.admin_api_key
    key = where.key() or (configured.get_secret_value() if configured else None)
    if key is None:
        raise ConfigurationError(
            f"the running server at {server} holds the data directory {settings.data_dir}: to ask it, {_GIVE_A_KEY}"
        )
    print(
        f"deepanalyze: the running server at {server} holds {settings.data_dir} and is asked", file=sys.stderr
    )
    return _remote(server, key)


def _in_process(runtime: Runtime) -> httpx.AsyncClient:
    from deepanalyze.api import create_app
    from deepanalyze.cli.client.in_process import InProcess

    services = dataclasses.replace(runtime, accounts=cast(Accounts, _LocalAdministrator()))
    return httpx.AsyncClient(
        base_url="http://data-directory",
        headers={"api-key": "local"},
        transport=InProcess(create_app(services)),
        timeout=httpx.Timeout(None),
    )


class _LocalAdministrator:
    """In place of the accounts: whatever the key."""

    async def authenticate(self, key: str) -> Principal:
        return Principal(User("user-local", "local administrator", "admin"))
