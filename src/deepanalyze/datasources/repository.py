"""Where configured sources are kept. The server's store implements `ConfigRepository`; in memory otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

SourceStatus = Literal["untested", "ok", "error"]


@dataclass(frozen=True, slots=True)
class StoredSource:
    """A source as it is stored: `config` holds no secret, `secrets` holds one ciphertext for each secret field.

    Each ciphertext is bound to this row's id and its field (see CredentialManager), so moving it elsewhere voids it.
    """

    id: str
    type: str
    name: str
    config: Mapping[str, Any]
    secrets: Mapping[str, str] = field(repr=False, default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: int = 0
    updated_at: int = 0
    created_by: str | None = None  # user id
    shared: bool = True
    origin: Literal["api", "config"] = "api"
    status: SourceStatus = "untested"
    last_tested_at: int | None = None
    version: int = 1


class ConfigRepository(Protocol):
    async def list(self) -> Sequence[StoredSource]: ...

    async def add(self, source: StoredSource) -> None:
        """Raises AlreadyExists when the id or the name is taken; concurrent calls see exactly one success."""

    async def update(self, source: StoredSource, *, expected_version: int) -> None:
        """Raises Stale when the stored version differs, NotFound when it is gone."""

    async def set_status(self, source_id: str, status: SourceStatus, tested_at: int) -> None: ...

    async def delete(self, source_id: str) -> bool: ...
