"""The secrets of a source, to and from the ciphertexts that are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepanalyze.datasources.credentials import CredentialManager
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.datasources.schema import merge_secrets
from deepanalyze.errors import ConfigurationError


class Sealer:
    def __init__(self, credentials: CredentialManager) -> None:
        self._credentials = credentials

    def seal(self, source_id: str, secrets: Mapping[str, str]) -> dict[str, str]:
        return {f: self._credentials.encrypt(v, row=source_id, field=f) for f, v in secrets.items()}

    def opened(self, source: StoredSource) -> dict[str, str]:
        """The secrets by field. Raises ConfigurationError that names the source, when a key does not fit."""
        try:
            return {
                f: self._credentials.decrypt(t, row=source.id, field=f) for f, t in source.secrets.items()
            }
        except ConfigurationError as error:
            raise ConfigurationError(f"data source {source.name!r}: {error.message}") from error

    def plain_config(self, source: StoredSource) -> dict[str, Any]:
        """With its secrets. Raises as `opened`."""
        return merge_secrets(source.config, self.opened(source))
