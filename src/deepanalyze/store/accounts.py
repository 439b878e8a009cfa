from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Table, bindparam, delete, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from deepanalyze.accounts.records import ApiKey, Belongings, Grant, Role, User, last_administrator
from deepanalyze.errors import AlreadyExists, NotFound
from deepanalyze.store.changes import commit_change
from deepanalyze.store.database import Database
from deepanalyze.store.failures import already_exists
from deepanalyze.store.found_keys import FoundKeys
from deepanalyze.store.models import api_keys, data_sources, files, threads, users

T = TypeVar("T")

# Made once: it runs often.
_OF_DIGEST = (
    select(api_keys, users).join_from(api_keys, users).where(api_keys.c.digest == bindparam("digest"))
)


class StoredAccounts:
    """Implements `deepanalyze.accounts.AccountRepository`."""

    def __init__(self, database: Database, found_keys: FoundKeys) -> None:
        self._database = database
        self._found_keys = found_keys

    async def add_user(self, user: User, key: ApiKey | None = None) -> None:
        def work(connection: Connection) -> None:
            _check_name_free(connection, user.id, user.name)
            with already_exists(f"the user {user.id!r}"):
                connection.execute(insert(users).values(asdict(user)))
            if key is not None:
                connection.execute(insert(api_keys).values(asdict(key)))

        await commit_change(self._database, self._forgetting(work))

    def check_changeable(self, user_id: str) -> None:
        """Every stored user is."""

    async def update_user(
        self,
        user_id: str,
        *,
        name: str | None = None,
        role: Role | None = None,
        grants: Sequence[Grant] | None = None,
    ) -> User:
        stored = None if grants is None else [asdict(grant) for grant in grants]
        given = {"name": name, "role": role, "grants": stored}
        changes = {column: value for column, value in given.items() if value is not None}

        def work(connection: Connection) -> User:
            if role is not None and role != "admin":
                _check_not_last_admin(connection, _existing(connection, user_id))
            if name is not None:
                _check_name_free(connection, user_id, name)
            if changes:
                connection.execute(update(users).where(users.c.id == user_id).values(changes))
            return _existing(connection, user_id)

        return await commit_change(self._database, self._forgetting(work))

    async def belongings(self, user_id: str) -> Belongings:
        return await self._database.read(lambda c: _belongings(c, user_id))

    async def delete_user(self, user_id: str) -> Belongings:
        def work(connection: Connection) -> Belongings:
            _check_not_last_admin(connection, _existing(connection, user_id))
            found = _belongings(connection, user_id)
            connection.execute(delete(users).where(users.c.id == user_id))  # its keys go with it
            _delete_owned(connection, user_id)
            self._database.users_gone.add(user_id)  # already here: the next transaction has to know
            return found

        try:
            return await commit_change(self._database, self._forgetting(work))
        except Exception:
            self._database.users_gone.discard(user_id)
            raise

    async def get_user(self, user_id: str) -> User | None:
        return await self._one_user(users.c.id == user_id)

    async def find_user(self, name: str) -> User | None:
        return await self._one_user(users.c.name == name)

    async def list_users(self) -> Sequence[User]:
        query = select(users).order_by(users.c.created_at, users.c.id)
        return await self._database.read(lambda c: [_user(row._asdict()) for row in c.execute(query)])

    async def add_key(self, key: ApiKey) -> None:
        def work(connection: Connection) -> None:
            with already_exists(f"the API key {key.id!r}"):
                connection.execute(insert(api_keys).values(asdict(key)))

        await commit_change(self._database, self._forgetting(work))

    async def find_key(self, digest: str) -> tuple[ApiKey, User] | None:
        def work(connection: Connection) -> tuple[ApiKey, User] | None:
            row = connection.execute(_OF_DIGEST, {"digest": digest}).one_or_none()
            return None if row is None else (_key(_part(row, api_keys)), _user(_part(row, users)))

        return await self._found_keys.find(digest, work)

    async def get_key(self, key_id: str) -> ApiKey | None:
        query = select(api_keys).where(api_keys.c.id == key_id)
        return await self._database.read(
            lambda c: _key(row._asdict()) if (row := c.execute(query).one_or_none()) is not None else None
        )

    async def list_keys(self, user_id: str | None = None) -> Sequence[ApiKey]:
        query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
        if user_id is not None:
            query = query.where(api_keys.c.user_id == user_id)
        return await self._database.read(lambda c: [_key(row._asdict()) for row in c.execute(query)])

    async def revoke_key(self, key_id: str, at: int) -> bool:
        """A key that is revoked already keeps its first time."""

        def work(connection: Connection) -> bool:
            known = connection.execute(select(api_keys.c.id).where(api_keys.c.id == key_id)).one_or_none()
            connection.execute(
                update(api_keys)
                .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
                .values(revoked_at=at)
            )
            return known is not None

        return await commit_change(self._database, self._forgetting(work))

    async def touch_key(self, key_id: str, at: int) -> None:
        change = update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=at)
        await self._database.write(self._forgetting(lambda c: c.execute(change)))

    def _forgetting(self, work: Callable[[Connection], T]) -> Callable[[Connection], T]:
        def both(connection: Connection) -> T:
            self._database.when_ended(self._found_keys.forget)
            return work(connection)

        return both

    async def _one_user(self, condition: ColumnElement[bool]) -> User | None:
        query = select(users).where(condition)
        return await self._database.read(
            lambda c: _user(row._asdict()) if (row := c.execute(query).one_or_none()) is not None else None
        )


def _existing(connection: Connection, user_id: str) -> User:
    row = connection.execute(select(users).where(users.c.id == user_id)).one_or_none()
    if row is None:
        raise NotFound(f"the user {user_id!r} is gone")
    return _user(row._asdict())


def _check_name_free(connection: Connection, user_id: str, name: str) -> None:
    """People read `Ada` and `ada` as one; names are ASCII, whose case the database knows."""
    others = select(users.c.name).where(func.lower(users.c.name) == name.lower(), users.c.id != user_id)
    if other := connection.execute(others.limit(1)).scalar_one_or_none():
        raise AlreadyExists(f"a user named {other!r} already exists", param="name")


def _check_not_last_admin(connection: Connection, user: User) -> None:
    others = select(users.c.id).where(users.c.role == "admin", users.c.id != user.id).limit(1)
    if user.role == "admin" and connection.execute(others).one_or_none() is None:
        raise last_administrator(user)


def _owned(user_id: str) -> dict[Table, tuple[ColumnElement[bool], ...]]:
    return {
        threads: (threads.c.owner_id == user_id,),
        files: (files.c.owner_id == user_id,),
        data_sources: (data_sources.c.created_by == user_id, data_sources.c.shared.is_(False)),
    }


def _belongings(connection: Connection, user_id: str) -> Belongings:
    return Belongings(
        *(
            tuple(connection.execute(select(table.c.id).where(*condition)).scalars())
            for table, condition in _owned(user_id).items()
        )
    )


def _delete_owned(connection: Connection, user_id: str) -> None:
    for table, condition in _owned(user_id).items():
        connection.execute(delete(table).where(*condition))


def _part(row: Row[Any], table: Table) -> dict[str, Any]:
    """The columns of one table in the row of a join."""
    return {column.name: row._mapping[column] for column in table.c}


def _user(row: Mapping[str, Any]) -> User:
    return User(**{**row, "grants": tuple(Grant(**grant) for grant in row["grants"])})


def _key(row: Mapping[str, Any]) -> ApiKey:
    return ApiKey(**{**row, "sources": tuple(row["sources"])})
