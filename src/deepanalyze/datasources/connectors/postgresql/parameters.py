"""What a connection is made with: every parameter said, every address checked, certificates and tokens at hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any, Self

from deepanalyze.datasources.connectors.postgresql.config import PostgresConfig
from deepanalyze.datasources.entra import EntraTokens
from deepanalyze.datasources.policy import NetworkPolicy
from deepanalyze.datasources.temporary import temporary_directory

ENTRA_SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
_NO_SUCH_FILE = "/dev/null/none"  # else libpq takes the one in the server process's home directory


class Parameters:
    """An async context manager around the files that libpq wants certificates in, and the Entra credential."""

    def __init__(
        self, config: PostgresConfig, network: NetworkPolicy, source: str, *, connect_timeout_s: float
    ) -> None:
        self._config = config
        self._network = network.narrowed(config.allowed_networks or ())
        self._connect_timeout_s = connect_timeout_s
        self._tokens = EntraTokens(config, ENTRA_SCOPE, source) if config.credential else None
        self._resources = contextlib.AsyncExitStack()
        self._directory: Path | None = None

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as resources:
            if self._tokens is not None:
                await resources.enter_async_context(self._tokens)
            if self._files():
                self._directory = resources.enter_context(temporary_directory())
                await asyncio.to_thread(self._write_files, self._directory)
            self._resources = resources.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._resources.aclose()

    @property
    def place(self) -> str:
        return self._config.socket_dir or f"{self._config.host}:{self._config.port}"

    async def __call__(self) -> dict[str, Any]:
        """For one connection, as psycopg takes them. Nothing is left for libpq to find in the server process's own
        environment or home directory.

        Raises HostNotAllowed, OSError for a name that is not known, and what getting a token raises.
        """
        config = self._config
        place = await self._checked_place()  # before a token is asked for
        parameters: dict[str, Any] = {
            **place,
            "port": str(config.port),
            "dbname": config.database,
            "user": config.user,
            "password": await self._password(),
            "passfile": os.devnull,
            "sslmode": config.tls_mode,
            "sslcertmode": "allow" if config.sslcert else "disable",
            "sslcert": self._file("client.crt"),
            "sslkey": self._file("client.key"),
            "sslrootcert": self._trusted(),
            "sslcrl": "",
            "sslcrldir": "",
            "gssencmode": "disable",
            "require_auth": "!gss,!sspi",
            "options": config.options or "",
            "application_name": config.application_name,
            "client_encoding": "UTF8",
            "connect_timeout": str(max(1, round(self._connect_timeout_s))),
            "keepalives_idle": "30",
            "keepalives_interval": "10",
            "keepalives_count": "3",
            "autocommit": True,
            "prepare_threshold": None,
        }
        return parameters

    async def _checked_place(self) -> dict[str, str]:
        if self._config.socket_dir is not None:
            return {"host": self._config.socket_dir, "hostaddr": ""}
        host = (self._config.host or "").strip("[]")
        addresses = await self._network.addresses(host, self._config.port)
        return {"host": ",".join([host] * len(addresses)), "hostaddr": ",".join(addresses)}

    async def _password(self) -> str:
        if self._tokens is not None:
            return await self._tokens.token()
        return self._config.password.get_secret_value() if self._config.password else ""

    def _trusted(self) -> str:
        if self._config.sslrootcert is not None:
            return self._file("root.crt")
        return "system" if self._config.tls_mode == "verify-full" else _NO_SUCH_FILE

    def _file(self, name: str) -> str:
        return str(self._directory / name) if self._directory and name in self._files() else _NO_SUCH_FILE

    def _files(self) -> dict[str, str]:
        config = self._config
        key = config.sslkey.get_secret_value() if config.sslkey else None
        files = {"root.crt": config.sslrootcert, "client.crt": config.sslcert, "client.key": key}
        return {name: text for name, text in files.items() if text is not None}

    def _write_files(self, directory: Path) -> None:
        for name, text in self._files().items():
            descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
