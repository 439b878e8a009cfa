"""The HTTP API to ask: a server's, or one in this process over a data directory that no server holds."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import httpx

from deepanalyze.accounts import Accounts, Principal, User
from deepanalyze.datadir import DataDir
from deepanalyze.errors import ConfigurationError, StartupError

CONNECT_S = 10
_ASK_A_SERVER = "--url and --api-key (or DEEPANALYZE_URL and DEEPANALYZE_API_KEY)"


@asynccontextmanager
async def remote(url: str, api_key: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """Waits as long as an answer takes: the limits are the server's."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"--url {url[:200]!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ConfigurationError(f"--url {url[:200]!r} must begin with http:// or https:// and name a host")
    if parts.userinfo:
        raise ConfigurationError(
            "--url must not hold a user name or password; the API key has its own option"
        )
    if not api_key:
        raise ConfigurationError(
            f"the server at {url} wants an API key: pass --api-key or set DEEPANALYZE_API_KEY"
        )
    if not api_key.isascii() or not api_key.isprintable():
        raise ConfigurationError("the API key holds characters that no API key has; copy it again")
    async with httpx.AsyncClient(
        base_url=parts,
        headers={"Authorization": f"Bearer {api_key}"},
        timeout=httpx.Timeout(None, connect=CONNECT_S),
        verify=parts.scheme == "https",  # loading the system's certificates takes its time
    ) as client:
        yield client


@asynccontextmanager
async def local(config: Path | None, data_dir: Path | None) -> AsyncIterator[httpx.AsyncClient]:
    """As administrator: who can open the data directory can read everything in it anyway."""
    from deepanalyze.api import create_app
    from deepanalyze.cli.sources.in_process import InProcess
    from deepanalyze.logging import configure_logging
    from deepanalyze.runtime import open_runtime
    from deepanalyze.settings import load_settings

    settings = load_settings({"data_dir": data_dir}, config)
    configure_logging("error", settings.log_format)
    if not DataDir(
        settings.data_dir
    ).store.exists():  # a first start shows the admin key, which is `serve`'s to do
        raise StartupError(
            f"there is no DeepAnalyze in {settings.data_dir}: start `deepanalyze serve` once, choose another directory "
            f"with --data-dir, or name a server with {_ASK_A_SERVER}"
        )
    try:
        async with open_runtime(settings) as runtime:
            services = dataclasses.replace(runtime, accounts=cast(Accounts, _LocalAdministrator()))
            transport = InProcess(create_app(services))
            async with httpx.AsyncClient(
                base_url="http://data-directory",
                headers={"api-key": "local"},
                transport=transport,
                timeout=httpx.Timeout(None),
            ) as client:
                yield client
    except StartupError as error:
        if not isinstance(error.__cause__, BlockingIOError):
            raise
        raise StartupError(
            f"a running server holds the data directory {settings.data_dir}: pass {_ASK_A_SERVER} to ask it"
        ) from None


class _LocalAdministrator:
    """In place of the accounts: whatever the key."""

    async def authenticate(self, key: str) -> Principal:
        return Principal(User("user-local", "local administrator", "admin"))
