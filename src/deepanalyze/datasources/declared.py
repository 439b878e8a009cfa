"""Sources that a configuration file declares, rather than a caller of the API."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from deepanalyze.datasources.base import DataSourceConfig
from deepanalyze.datasources.names import GENERATED_PREFIX
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.errors import AlreadyExists


class Named(Protocol):
    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Changes:
    """Names of what is declared."""

    added: list[str]
    changed: list[str]
    removed: list[str]

    @classmethod
    def between(cls, old: Mapping[str, Named], new: Mapping[str, Named]) -> Self:
        """By id."""
        return cls(
            added=[new[i].name for i in new if i not in old],
            changed=[new[i].name for i in new if i in old and new[i] != old[i]],
            removed=[old[i].name for i in old if i not in new],
        )


def declared_id(name: str) -> str:
    """The same after every start, because grants and notes of fetched files name it."""
    return GENERATED_PREFIX + declared_digest(name)


def declared_digest(name: str) -> str:
    return hashlib.sha256(f"configuration file: {name}".encode()).hexdigest()[:24]


def is_declared(source: StoredSource) -> bool:
    """Such a source is held in memory only, so that the file alone says which there are."""
    return source.origin == "config"


def declared_source(
    config: DataSourceConfig, public: Mapping[str, Any], secrets: Mapping[str, str], old: StoredSource | None
) -> StoredSource:
    """`public` and `secrets` (ciphertexts) are what `config.config` was split into; `old` is what it replaces."""
    return StoredSource(
        id=config.id,
        type=str(config.type),
        name=config.name,
        config=public,
        secrets=secrets,
        metadata=dict(config.metadata),
        created_at=config.created_at if old is None else old.created_at,
        updated_at=int(time.time()),
        origin="config",
        version=1 if old is None else old.version + 1,
    )


def check_names_free(
    wanted: Sequence[DataSourceConfig], known: Iterable[StoredSource], reserved: Container[str]
) -> None:
    """Raises AlreadyExists when one's name is that of a source which is stored, or just being made."""
    stored = {
        label: source for source in known if not is_declared(source) for label in (source.id, source.name)
    }
    for label in (declaration.name for declaration in wanted):
        if label in reserved:
            raise AlreadyExists(
                f"a data source with the name or id {label!r} is being made through the API", param="name"
            )
        if (source := stored.get(label)) is not None:
            raise AlreadyExists(
                f"data source {label!r} of the configuration file has the name of the stored data source "
                f"{source.name!r} ({source.id}), made through the API: rename one of them, or delete the stored one",
                param="name",
            )
