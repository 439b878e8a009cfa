"""The secrets of a source, to and from the ciphertexts that are stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from deepanalyze.datasources.credentials import CredentialManager
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.datasources.schema import merge_secrets
from deepanalyze.errors import ConfigurationError


class SecretListener(Protocol):
    """Is told each secret in the clear, to keep it out of logs and messages; called in the event loop, and quick."""

    def keep(self, owner: str, values: Iterable[str]) -> None:
        """All that the source with this id has: it is about to be connected with that."""

    def trying(self, owner: str, values: Iterable[str]) -> None:
        """What the source will have, unless something goes wrong."""

    def forget(self, owner: str) -> None:
        """The source is gone."""


class Sealer:
    def __init__(self, credentials: CredentialManager, listener: SecretListener | None = None) -> None:
        self._credentials = credentials
        self._listener = listener

    def forget(self, source_id: str) -> None:
        if self._listener is not None:
            self._listener.forget(source_id)

    def seal(self, source_id: str, secrets: Mapping[str, str]) -> dict[str, str]:
        """Before anything is tried with them: the listener is told."""
        if self._listener is not None:
            self._listener.trying(source_id, secrets.values())
        return {f: self._credentials.encrypt(v, row=source_id, field=f) for f, v in secrets.items()}

    def opened(self, source: StoredSource) -> dict[str, str]:
        """The secrets by field. Raises ConfigurationError that names the source, when a key does not fit."""
        try:
            secrets = {
                f: self._credentials.decrypt(t, row=source.id, field=f) for f, t in source.secrets.items()
            }
        except ConfigurationError as error:
            raise ConfigurationError(f"data source {source.name!r}: {error.message}") from error
        if self._listener is not None:
            self._listener.keep(source.id, secrets.values())
        return secrets

    def plain_config(self, source: StoredSource) -> dict[str, Any]:
        """With its secrets. Raises as `opened`."""
        return merge_secrets(source.config, self.opened(source))
