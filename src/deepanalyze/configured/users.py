"""The users of the configuration file beside those of the store."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from deepanalyze.accounts import AccountRepository, ApiKey, Belongings, Grant, Role, User, key_digest
from deepanalyze.configured.reading import DeclaredUser
from deepanalyze.datasources.declared import Changes, declared_digest
from deepanalyze.errors import AlreadyExists, ConfigurationError, PermissionDenied


class _Known(NamedTuple):
    """What is different after a change of the declaration."""

    name: str
    user: User
    digest: str


class AccountsOfFile:
    """An `AccountRepository` that also knows the declared users. They are held in memory only, so that the file alone
    says who there is, and nobody can change them but there.
    """

    def __init__(self, stored: AccountRepository) -> None:
        self._stored = stored
        self._users: dict[str, User] = {}
        self._keys: dict[str, ApiKey] = {}  # by digest

    async def declare(self, declared: Sequence[DeclaredUser], source_ids: Mapping[str, str]) -> Changes:
        """Replaces the declared users; `source_ids` are ids by name, for the grants. Raises ConfigurationError, and
        changes nothing, when a stored user has the name of a declared one.
        """
        by_name = {user.name.lower(): user for user in await self._stored.list_users()}
        for user in declared:
            if (stored := by_name.get(user.name.lower())) is not None:
                raise ConfigurationError(
                    f"user {user.name!r} of the configuration file has the name of the stored user {stored.id}: "
                    "rename one of them, or delete the stored one"
                )
        users = [_user(each, source_ids, self._users) for each in declared]
        known = self._known()
        self._keys = {
            key_digest(each.api_key): _key(each, user) for each, user in zip(declared, users, strict=True)
        }
        self._users = {user.id: user for user in users}
        return Changes.between(known, self._known())

    async def add_user(self, user: User, key: ApiKey | None = None) -> None:
        self._check_free(user.name)
        await self._stored.add_user(user, key)

    async def update_user(
        self,
        user_id: str,
        *,
        name: str | None = None,
        role: Role | None = None,
        grants: Sequence[Grant] | None = None,
    ) -> User:
        self.check_changeable(user_id)
        self._check_free(name)
        return await self._stored.update_user(user_id, name=name, role=role, grants=grants)

    async def belongings(self, user_id: str) -> Belongings:
        return await self._stored.belongings(user_id)

    async def delete_user(self, user_id: str) -> Belongings:
        self.check_changeable(user_id)
        return await self._stored.delete_user(user_id)

    async def get_user(self, user_id: str) -> User | None:
        return self._users.get(user_id) or await self._stored.get_user(user_id)

    async def find_user(self, name: str) -> User | None:
        declared = (user for user in self._users.values() if user.name == name)
        return next(declared, None) or await self._stored.find_user(name)

    async def list_users(self) -> Sequence[User]:
        return [*await self._stored.list_users(), *self._users.values()]

    async def add_key(self, key: ApiKey) -> None:
        self.check_changeable(key.user_id)
        await self._stored.add_key(key)

    async def find_key(self, digest: str) -> tuple[ApiKey, User] | None:
        key = self._keys.get(digest)
        return (key, self._users[key.user_id]) if key else await self._stored.find_key(digest)

    async def get_key(self, key_id: str) -> ApiKey | None:
        return self._declared_key(key_id) or await self._stored.get_key(key_id)

    async def list_keys(self, user_id: str | None = None) -> Sequence[ApiKey]:
        declared = (key for key in self._keys.values() if user_id in (None, key.user_id))
        return [*await self._stored.list_keys(user_id), *declared]

    async def revoke_key(self, key_id: str, at: int) -> bool:
        if declared := self._declared_key(key_id):
            self.check_changeable(declared.user_id)
        return await self._stored.revoke_key(key_id, at)

    async def touch_key(self, key_id: str, at: int) -> None:
        if self._declared_key(key_id) is None:
            await self._stored.touch_key(key_id, at)

    def _known(self) -> dict[str, _Known]:
        users = ((key, self._users[key.user_id]) for key in self._keys.values())
        return {user.id: _Known(user.name, user, key.digest) for key, user in users}

    def _declared_key(self, key_id: str) -> ApiKey | None:
        return next((key for key in self._keys.values() if key.id == key_id), None)

    def _check_free(self, name: str | None) -> None:
        same = (known.name for known in self._users.values() if name and known.name.lower() == name.lower())
        if (other := next(same, None)) is not None:
            raise AlreadyExists(
                f"a user named {other!r} already exists, in the configuration file", param="name"
            )

    def check_changeable(self, user_id: str) -> None:
        if user := self._users.get(user_id):
            raise PermissionDenied(
                f"user {user.name!r} is declared in the configuration file; change the user and the key there"
            )


def _user(declared: DeclaredUser, source_ids: Mapping[str, str], known: Mapping[str, User]) -> User:
    """With an id that is the same after every start, because threads and files belong to it."""
    user_id = f"user-{declared_digest(declared.name)}"
    grants = tuple(Grant(source_ids.get(g.source, g.source), g.use, g.write) for g in declared.grants)
    made_at = known[user_id].created_at if user_id in known else int(time.time())
    return User(user_id, declared.name, declared.role, grants, made_at)


def _key(declared: DeclaredUser, user: User) -> ApiKey:
    return ApiKey(
        id=f"key-{declared_digest(declared.name)}",
        user_id=user.id,
        name="configuration file",
        prefix="",  # a key that someone chose may be short; no part of it is shown
        digest=key_digest(declared.api_key),
        created_at=user.created_at,
    )
