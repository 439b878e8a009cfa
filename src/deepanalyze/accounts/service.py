"""Who may come in: users, their API keys, and the first admin."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import structlog

from deepanalyze.accounts.records import (
    AccountRepository,
    ApiKey,
    Belongings,
    Grant,
    Principal,
    Role,
    User,
    key_digest,
    last_administrator,
)
from deepanalyze.audit import changing
from deepanalyze.errors import (
    DeepAnalyzeError,
    InvalidApiKey,
    InvalidRequest,
    NotFound,
    PermissionDenied,
)

log = structlog.get_logger()

ADMIN_NAME = "admin"
KEY_PREFIX = "sk-da-"
KEY_BYTES = 32
FIRST_KEY_NAME = "made at first start"
TOUCH_INTERVAL_S = 60
_SHOWN_CHARACTERS = len(KEY_PREFIX) + 4
_GENERATED_ID = re.compile(r"user-[0-9a-f]{24}")
_USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")


@dataclass(frozen=True, slots=True)
class _ConfiguredKey:
    """The admin key from the settings. It is never stored, so changing or removing the setting voids it."""

    digest: str
    admin: User


class Accounts:
    def __init__(self, repository: AccountRepository, *, clock: Callable[[], float] = time.time) -> None:
        self._repository = repository
        self._clock = clock
        self._configured: _ConfiguredKey | None = None
        self._touched_at: dict[str, int] = {}

    async def authenticate(self, key: str) -> Principal:
        """Raises InvalidApiKey when the key is missing, wrong, expired or revoked."""
        if not key:
            raise InvalidApiKey("an API key is needed: send the header Authorization: Bearer <key>")
        digest = key_digest(key)
        if self._configured is not None and hmac.compare_digest(self._configured.digest, digest):
            return Principal(self._configured.admin)
        found = await self._repository.find_key(digest)
        if found is None or not hmac.compare_digest(found[0].digest, digest):
            raise InvalidApiKey("the API key is not valid")
        stored, user = found
        self._check_in_force(stored)
        await self._touch(stored)
        return Principal(user, stored.id, stored.sources)

    async def create_user(self, name: str, *, role: Role = "analyst", grants: Sequence[Grant] = ()) -> User:
        """Raises AlreadyExists when the name is taken."""
        user = self._new_user(name, role, grants)
        with changing("create", "user", user.id, **_told(user)):
            await self._repository.add_user(user)
        return user

    async def create_user_with_key(
        self,
        name: str,
        key_name: str,
        *,
        role: Role = "analyst",
        grants: Sequence[Grant] = (),
        expires_at: int | None = None,
        sources: Sequence[str] = ("*",),
    ) -> tuple[User, ApiKey, str]:
        """Both or neither; otherwise as `create_user` and `create_key`."""
        user = self._new_user(name, role, grants)
        stored, key = self._new_key(user, key_name, expires_at, sources)
        with changing("create", "api_key", stored.id, **_told_key(stored), made_user=_told(user)):
            await self._repository.add_user(user, stored)
        return user, stored, key

    async def users(self) -> Sequence[User]:
        return await self._repository.list_users()

    async def find_user(self, id_or_name: str) -> User | None:
        return await self._repository.get_user(id_or_name) or await self._repository.find_user(id_or_name)

    async def user(self, id_or_name: str) -> User:
        """Raises NotFound."""
        user = await self.find_user(id_or_name)
        if user is None:
            raise NotFound(f"there is no user {id_or_name[:80]!r}", param="user")
        return user

    async def change_user(
        self,
        id_or_name: str,
        *,
        name: str | None = None,
        role: Role | None = None,
        grants: Sequence[Grant] | None = None,
    ) -> User:
        """What is None stays. The next request of any of the user's keys goes by it. Raises AlreadyExists for the
        name, and PermissionDenied where no administrator would be left.
        """
        user = await self.user(id_or_name)
        if name is not None:
            check_user_name(name)
        given = {
            "name": name,
            "role": role,
            "grants": None if grants is None else [asdict(g) for g in grants],
        }
        with changing("change", "user", user.id, **given):
            if name not in (None, user.name) or role not in (None, user.role):
                self._check_not_configured(user)
            return await self._repository.update_user(user.id, name=name, role=role, grants=grants)

    async def belongings(self, user: User) -> Belongings:
        return await self._repository.belongings(user.id)

    async def check_removable(self, user: User) -> None:
        """Raises PermissionDenied as `delete_user` would."""
        self._repository.check_changeable(user.id)
        self._check_not_configured(user)
        admins = [other.id for other in await self._repository.list_users() if other.role == "admin"]
        if admins == [user.id]:
            raise last_administrator(user)

    async def delete_user(self, user: User) -> Belongings:
        """With keys and belongings, as far as the store goes; returns what else is to be removed."""
        with changing("delete", "user", user.id, name=user.name) as facts:
            self._check_not_configured(user)
            owned = await self._repository.belongings(user.id)
            facts |= {"sources": owned.sources, "threads": owned.threads, "files": owned.files}
            return await self._repository.delete_user(user.id)

    async def create_key(
        self, user_id: str, name: str, *, expires_at: int | None = None, sources: Sequence[str] = ("*",)
    ) -> tuple[ApiKey, str]:
        """The second of the pair is the key itself; only its digest is kept, so it cannot be shown again."""
        user = await self._repository.get_user(user_id)
        if user is None:
            raise NotFound(f"there is no user {user_id!r}", param="user")
        stored, key = self._new_key(user, name, expires_at, sources)
        with changing("create", "api_key", stored.id, **_told_key(stored)):
            await self._repository.add_key(stored)
        return stored, key

    async def keys(self, user: User | None = None) -> Sequence[ApiKey]:
        return await self._repository.list_keys(None if user is None else user.id)

    async def key(self, key_id: str) -> ApiKey:
        """Raises NotFound."""
        key = await self._repository.get_key(key_id)
        if key is None:
            raise NotFound(f"there is no API key {key_id[:80]!r}")
        return key

    async def revoke_key(self, key_id: str) -> None:
        """Raises NotFound."""
        key = await self.key(key_id)
        with changing("revoke", "api_key", key.id, user_id=key.user_id, name=key.name):
            await self._repository.revoke_key(key.id, self._now())

    async def ensure_admin(self, configured_key: str | None, *, make_key: bool = True) -> str | None:
        """Called at start: makes sure that an admin can come in.

        With a configured key that one is valid from now on. Without, and without any other usable admin key,
        makes one and returns it, to be shown once; not with `make_key` false, where nobody would see it.
        """
        if configured_key is None and (not make_key or await self._some_admin_has_a_key()):
            return None
        admin = await self._first_admin()
        if configured_key is not None:
            self._configured = _ConfiguredKey(key_digest(configured_key), admin)
            return None
        _, key = await self.create_key(admin.id, FIRST_KEY_NAME)
        return key

    async def _first_admin(self) -> User:
        admin = await self._repository.find_user(ADMIN_NAME)
        if admin is None:
            return await self.create_user(ADMIN_NAME, role="admin")
        if admin.role == "admin":
            return admin
        log.warning("the first admin was demoted, and is an administrator again", user_id=admin.id)
        with changing("change", "user", admin.id, role="admin"):
            return await self._repository.update_user(admin.id, role="admin")

    def _new_user(self, name: str, role: Role, grants: Sequence[Grant]) -> User:
        check_user_name(name)
        if role not in get_args(Role):
            raise InvalidRequest(f"{role!r} is no role; roles are admin and analyst", param="role")
        return User(f"user-{secrets.token_hex(12)}", name, role, tuple(grants), self._now())

    def _new_key(
        self, user: User, name: str, expires_at: int | None, sources: Sequence[str]
    ) -> tuple[ApiKey, str]:
        if expires_at is not None and expires_at <= self._now():
            raise InvalidRequest("expires_at lies in the past", param="expires_at")
        key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
        stored = ApiKey(
            id=f"key-{secrets.token_hex(12)}",
            user_id=user.id,
            name=name,
            prefix=key[:_SHOWN_CHARACTERS],
            digest=key_digest(key),
            created_at=self._now(),
            expires_at=expires_at,
            sources=tuple(sources),
        )
        return stored, key

    def _check_not_configured(self, user: User) -> None:
        if self._configured is not None and self._configured.admin.id == user.id:
            raise PermissionDenied(
                f"user {user.name!r} is who the configured key (admin_api_key) acts for; it keeps its name and role "
                "and cannot be deleted while that setting is there"
            )

    async def _some_admin_has_a_key(self) -> bool:
        admins = {user.id for user in await self._repository.list_users() if user.role == "admin"}
        keys = await self._repository.list_keys()
        return any(key.user_id in admins and key.in_force(self._now()) for key in keys)

    def _check_in_force(self, key: ApiKey) -> None:
        if key.revoked_at is not None:
            raise InvalidApiKey("this API key was revoked; ask an admin for another")
        if not key.in_force(self._now()):
            raise InvalidApiKey("this API key has expired; ask an admin for another")

    async def _touch(self, key: ApiKey) -> None:
        now = self._now()
        if now - max(key.last_used_at or 0, self._touched_at.get(key.id, 0)) >= TOUCH_INTERVAL_S:
            self._touched_at[key.id] = now  # before the write, so that requests at the same time write once
            try:
                await self._repository.touch_key(key.id, now)
            except DeepAnalyzeError as error:  # a full disk is no reason to keep people out
                log.warning("last use of an API key not stored", key_id=key.id, error=error.message)

    def _now(self) -> int:
        return int(self._clock())


def check_user_name(name: str) -> None:
    """Raises InvalidRequest."""
    if not _USER_NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name[:80]!r} cannot be a user's name: 1 to 64 letters, digits and . _ @ + -, "
            "beginning with a letter or digit",
            param="name",
        )
    if is_user_id(name):
        raise InvalidRequest(f"{name!r} has the form of a user's id; choose another name", param="name")


def is_user_id(text: str) -> bool:
    """Whether it has the form of a user's id, which no name has."""
    return _GENERATED_ID.fullmatch(text) is not None


def _told(user: User) -> dict[str, Any]:
    """What the audit trail keeps of a user."""
    return {"name": user.name, "role": user.role, "grants": [asdict(grant) for grant in user.grants]}


def _told_key(key: ApiKey) -> dict[str, Any]:
    return {"user_id": key.user_id, "name": key.name, "sources": key.sources, "expires_at": key.expires_at}
