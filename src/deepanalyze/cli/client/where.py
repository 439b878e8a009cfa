"""The options that say which server is asked, and as whom."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from deepanalyze.cli.options import ConfigFile
from deepanalyze.errors import ConfigurationError

MAX_KEY_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Where:
    """A server or a data directory."""

    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            "--url",
            help="The server's URL; also DEEPANALYZE_SERVER, unless --data-dir or --config is given.",
        ),
    ] = None
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            "--api-key-file", help="The file that holds the API key; also DEEPANALYZE_API_KEY_FILE."
        ),
    ] = None
    api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            help="The API key itself; better in a file or in DEEPANALYZE_API_KEY, where other users do not see it.",
        ),
    ] = None
    config: ConfigFile = None
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="The data directory to open instead of asking a server.")
    ] = None

    def url(self, environ: Mapping[str, str] = os.environ) -> str | None:
        """The server's, if one is to be asked; any option comes before the environment. Raises ConfigurationError for
        options that name two places.
        """
        here = self.data_dir or self.config
        if self.server is None and here is None:
            return environ.get("DEEPANALYZE_SERVER") or environ.get("DEEPANALYZE_URL") or None
        if self.server is not None and here is not None:
            raise ConfigurationError(
                "--server names a server, and --data-dir or --config a directory of this machine: leave one out"
            )
        return self.server

    def key(self, environ: Mapping[str, str] = os.environ) -> str | None:
        """The API key; options come before the environment. Raises ConfigurationError for a file that holds none."""
        if self.api_key and self.api_key_file:
            raise ConfigurationError("--api-key and --api-key-file both name an API key: leave one out")
        file = environ.get("DEEPANALYZE_API_KEY_FILE")
        for key, path in (
            (self.api_key, self.api_key_file),
            (environ.get("DEEPANALYZE_API_KEY"), file and Path(file)),
        ):
            if key or path:
                return _checked(key) if key else _read(Path(path or ""))
        return None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"the API key file {path} cannot be read: {error.strerror}") from None
    key = content.decode("utf-8", "replace").strip()
    if not key:
        raise ConfigurationError(f"the API key file {path} is empty")
    if len(content) > MAX_KEY_BYTES or "\n" in key:
        raise ConfigurationError(f"the API key file {path} must hold an API key and nothing else")
    return _checked(key)


def _checked(key: str) -> str:
    if not key.isascii() or not key.isprintable():
        raise ConfigurationError("the API key holds characters that no API key has; copy it again")
    return key
