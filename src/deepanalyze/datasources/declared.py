"""Sources that a configuration file declares, rather than a caller of the API."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from deepanalyze.datasources.names import GENERATED_PREFIX
from deepanalyze.datasources.repository import StoredSource


@dataclass(frozen=True, slots=True)
class Changes:
    """Names of sources."""

    added: list[str]
    changed: list[str]
    removed: list[str]

    @classmethod
    def between(cls, old: Mapping[str, StoredSource], new: Mapping[str, StoredSource]) -> Self:
        """By id; what is the very same object has not changed."""
        return cls(
            added=[new[i].name for i in new if i not in old],
            changed=[new[i].name for i in new if i in old and new[i] is not old[i]],
            removed=[old[i].name for i in old if i not in new],
        )


def declared_id(name: str) -> str:
    """The same after every start, because grants and notes of fetched files name it."""
    return GENERATED_PREFIX + hashlib.sha256(f"configuration file: {name}".encode()).hexdigest()[:24]
