"""Encrypting what is stored anew, under the first of the keys."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from deepanalyze.datasources.credentials import CredentialManager
from deepanalyze.datasources.repository import ConfigRepository
from deepanalyze.datasources.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many sources were encrypted anew, and how many had been already (or hold no secret)."""

    rotated: int
    skipped: int


async def rotate_secrets(repository: ConfigRepository, credentials: CredentialManager) -> Rotated:
    """Each source in a transaction of its own, so that what was interrupted is gone on with by the next call.

    For a repository that nobody else changes meanwhile. Raises ConfigurationError, before anything is changed, when
    one secret fits none of the keys.
    """
    sealer = Sealer(credentials)
    sources = await repository.list()
    for source in sources:
        sealer.opened(source)
    waiting = [s for s in sources if not all(credentials.is_current(token) for token in s.secrets.values())]
    for source in waiting:
        secrets = {field: credentials.rotate(token) for field, token in source.secrets.items()}
        # The same version: for clients nothing has changed.
        await repository.update(dataclasses.replace(source, secrets=secrets), expected_version=source.version)
    return Rotated(len(waiting), len(sources) - len(waiting))
