"""What is kept of users and API keys, and what they may do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from deepanalyze.errors import PermissionDenied

Role = Literal["admin", "analyst"]


@dataclass(frozen=True, slots=True)
class Grant:
    """What one user may do with one shared source; `source_id` is an id or `*`."""

    source_id: str
    use: bool = True
    write: bool = False


@dataclass(frozen=True, slots=True)
class User:
    id: str  # user-…
    name: str
    role: Role
    grants: tuple[Grant, ...] = ()
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored API key: never the key itself, only its SHA-256 (256 random bits need no salt)."""

    id: str  # key-…
    user_id: str
    name: str
    prefix: str
    digest: str = field(repr=False)
    created_at: int = 0
    expires_at: int | None = None
    revoked_at: int | None = None
    last_used_at: int | None = None
    sources: tuple[str, ...] = ("*",)  # narrows the user's grants

    def in_force(self, now: int) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request acts for: a user, seen through one API key."""

    user: User
    key_id: str | None = None
    sources: tuple[str, ...] = ("*",)

    @property
    def user_id(self) -> str:
        return self.user.id

    @property
    def is_admin(self) -> bool:
        return self.user.role == "admin"

    @property
    def is_narrowed(self) -> bool:
        """Such a key neither administrates nor makes sources, or it could make itself one that is not."""
        return "*" not in self.sources

    @property
    def administers(self) -> bool:
        return self.is_admin and not self.is_narrowed

    def may_use(self, source_id: str) -> bool:
        return self.key_admits(source_id) and (
            self.is_admin or any(g.use and g.source_id in ("*", source_id) for g in self.user.grants)
        )

    def may_write(self, source_id: str) -> bool:
        return self.key_admits(source_id) and (
            self.is_admin or any(g.write and g.source_id in ("*", source_id) for g in self.user.grants)
        )

    def key_admits(self, source_id: str) -> bool:
        return not self.is_narrowed or source_id in self.sources


@dataclass(frozen=True, slots=True)
class Belongings:
    """The ids of what goes with its user."""

    threads: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()  # private ones; what a user shared stays


def key_digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def last_administrator(user: User) -> PermissionDenied:
    return PermissionDenied(
        f"user {user.name!r} is the last administrator of this server; make another one first"
    )


class AccountRepository(Protocol):
    """What must survive a restart; implemented by the store."""

    async def add_user(self, user: User, key: ApiKey | None = None) -> None:
        """With a first key or none, in one transaction. Raises AlreadyExists when the name is taken."""

    def check_changeable(self, user_id: str) -> None:
        """Raises PermissionDenied for a user who is declared elsewhere, and can only be changed there."""

    async def update_user(
        self,
        user_id: str,
        *,
        name: str | None = None,
        role: Role | None = None,
        grants: Sequence[Grant] | None = None,
    ) -> User:
        """Changes what is given, in one transaction, and returns the user as it is then. Raises NotFound,
        AlreadyExists for the name, and PermissionDenied where no administrator would be left.
        """

    async def belongings(self, user_id: str) -> Belongings: ...
    async def delete_user(self, user_id: str) -> Belongings:
        """In one transaction: the user with keys, private sources, threads and files. Returns what went. Raises
        NotFound, and PermissionDenied for the last administrator.
        """

    async def get_user(self, user_id: str) -> User | None: ...
    async def find_user(self, name: str) -> User | None: ...
    async def list_users(self) -> Sequence[User]: ...
    async def add_key(self, key: ApiKey) -> None: ...
    async def find_key(self, digest: str) -> tuple[ApiKey, User] | None:
        """The key and its user; every request asks this."""

    async def get_key(self, key_id: str) -> ApiKey | None: ...
    async def list_keys(self, user_id: str | None = None) -> Sequence[ApiKey]: ...
    async def revoke_key(self, key_id: str, at: int) -> bool: ...
    async def touch_key(self, key_id: str, at: int) -> None: ...
