"""Users and API keys, with what belongs to them elsewhere: sources, threads and files."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from deepanalyze.accounts import Accounts, ApiKey, Belongings, Grant, Role, Sessions, User
from deepanalyze.administration.granting import EVERY, checked_grants, narrowed, new_users_grants
from deepanalyze.analysis.files import Files
from deepanalyze.analysis.threads import Threads
from deepanalyze.datasources.registry import DataSourceRegistry
from deepanalyze.errors import AlreadyExists, InvalidRequest, NotFound

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class NewKey:
    """`sources` and `role` None: what the user has, or for a user still to be made, no grants and `analyst`."""

    name: str
    user: str
    role: Role | None = None
    sources: Sequence[str] | None = None
    expires_at: int | None = None


class Administration:
    """Asks nobody who is asking: its callers have made sure that an administrator is."""

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        registry: DataSourceRegistry,
        threads: Threads,
        files: Files,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._registry = registry
        self._threads = threads
        self._files = files

    async def users(self) -> Sequence[User]:
        return await self._accounts.users()

    async def user(self, id_or_name: str) -> User:
        return await self._accounts.user(id_or_name)

    async def find_user(self, id_or_name: str) -> User | None:
        return await self._accounts.find_user(id_or_name)

    async def create_user(self, name: str, role: Role, grants: Sequence[Grant]) -> User:
        known = checked_grants(self._registry, grants, "grants")
        user = await self._accounts.create_user(name, role=role, grants=known)
        log.info("user made", made_user_id=user.id, role=role)
        return user

    async def change_user(
        self,
        id_or_name: str,
        *,
        name: str | None = None,
        role: Role | None = None,
        grants: Sequence[Grant] | None = None,
    ) -> User:
        """What is None stays; the user's next request goes by the change."""
        known = None if grants is None else checked_grants(self._registry, grants, "grants")
        user = await self._accounts.change_user(id_or_name, name=name, role=role, grants=known)
        log.info("user changed", changed_user_id=user.id, role=user.role)
        return user

    async def delete_user(self, id_or_name: str) -> User:
        """Ends what the user runs, then removes user, keys, private sources, threads and files from the store in one
        transaction. What is left on the disk after a crash is removed at the next start.
        """
        user = await self._accounts.user(id_or_name)
        await self._accounts.check_removable(user)
        await self._threads.end((await self._accounts.belongings(user)).threads)
        await asyncio.shield(self._remove(user, asyncio.current_task()))
        return user

    async def keys(self, user: str | None = None) -> Sequence[tuple[ApiKey, User]]:
        """Oldest first; of one user, or of all."""
        of = None if user is None else await self._accounts.user(user)
        users = {known.id: known for known in await self._accounts.users()}
        keys = await self._accounts.keys(of)
        return [(key, users[key.user_id]) for key in keys if key.user_id in users]

    async def key(self, key_id: str) -> tuple[ApiKey, User]:
        key = await self._accounts.key(key_id)
        return key, await self._accounts.user(key.user_id)

    async def create_key(self, wanted: NewKey) -> tuple[ApiKey, User, str]:
        """The third is the key itself, which nothing can show again. An unknown user is made with it."""
        user = await self._accounts.find_user(wanted.user)
        if user is None:
            try:
                return await self._with_new_user(wanted)
            except AlreadyExists:  # made by another request meanwhile, or one whose name differs by case
                if (user := await self._accounts.find_user(wanted.user)) is None:
                    raise
        if wanted.role not in (None, user.role):
            raise InvalidRequest(
                f"user {user.name!r} has the role {user.role}; leave `role` out, or change the user first",
                param="role",
            )
        sources = narrowed(self._registry, user, _or_every(wanted.sources), "sources")
        stored, key = await self._accounts.create_key(
            user.id, wanted.name, expires_at=wanted.expires_at, sources=sources
        )
        log.info("API key made", key_id=stored.id, key_user_id=user.id)
        return stored, user, key

    async def revoke_key(self, key_id: str) -> None:
        await self._accounts.revoke_key(key_id)
        self._sessions.end_key(key_id, but=asyncio.current_task())
        log.info("API key revoked", key_id=key_id)

    async def _with_new_user(self, wanted: NewKey) -> tuple[ApiKey, User, str]:
        grants = new_users_grants(self._registry, wanted.sources or (), "sources")
        try:
            user, stored, key = await self._accounts.create_user_with_key(
                wanted.user,
                wanted.name,
                role=wanted.role or "analyst",
                grants=grants,
                expires_at=wanted.expires_at,
                sources=[EVERY] if wanted.sources is None else [grant.source_id for grant in grants],
            )
        except (InvalidRequest, AlreadyExists) as error:
            if error.param == "name":  # of the user, which is this request's `user`
                error.param = "user"
            raise
        log.info("API key made, with its user", key_id=stored.id, key_user_id=user.id)
        return stored, user, key

    async def _remove(self, user: User, asking: asyncio.Task[Any] | None) -> None:
        """Not to be cancelled half-way: what runs here would go on using what the store no longer has."""
        gone = await self._accounts.delete_user(user)
        self._sessions.end_user(user.id, but=asking)
        log.info("user deleted", deleted_user_id=user.id, **_counts(gone))
        for source_id in gone.sources:
            with contextlib.suppress(NotFound):
                await self._registry.unregister_data_source(source_id)
        await self._threads.forget(gone.threads)
        await self._files.forget(gone.files)


def _or_every(sources: Sequence[str] | None) -> Sequence[str]:
    return [EVERY] if sources is None else sources


def _counts(gone: Belongings) -> dict[str, int]:
    return {"threads": len(gone.threads), "files": len(gone.files), "sources": len(gone.sources)}
