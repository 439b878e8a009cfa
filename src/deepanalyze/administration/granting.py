"""Grants and the sources of keys name sources that there are, by id or name; they are kept by id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from deepanalyze.accounts import Grant, Principal, User
from deepanalyze.datasources.registry import DataSourceRegistry
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.errors import InvalidRequest, NotFound

EVERY = "*"


def checked_grants(registry: DataSourceRegistry, grants: Sequence[Grant], param: str) -> list[Grant]:
    """With ids in place of names. Raises InvalidRequest that names every source which cannot be granted."""
    ids = _shared_ids(registry, [grant.source_id for grant in grants], param)
    by_source = {i: replace(g, source_id=i) for i, g in zip(ids, grants, strict=True)}
    if len(by_source) < len(grants):
        raise InvalidRequest("a source is named twice; give one grant for each", param=param)
    return list(by_source.values())


def new_users_grants(registry: DataSourceRegistry, sources: Sequence[str], param: str) -> list[Grant]:
    return [Grant(source_id) for source_id in dict.fromkeys(_shared_ids(registry, sources, param))]


def narrowed(registry: DataSourceRegistry, user: User, sources: Sequence[str], param: str) -> list[str]:
    """Ids of sources that a key of the user may be held to. Raises InvalidRequest that names the others."""
    found = {name: _find(registry, name) for name in sources if name != EVERY}
    missing = [name for name, source in found.items() if not _is_the_users(user, source)]
    if missing:
        raise InvalidRequest(
            f"a key only narrows what its user may use, and user {user.name!r} has no grant for {_names(missing)}; "
            "grant it first, or leave it out",
            param=param,
        )
    if EVERY in sources:
        return [EVERY]
    return list(dict.fromkeys(source.id for source in found.values() if source is not None))


def _shared_ids(registry: DataSourceRegistry, names: Sequence[str], param: str) -> list[str]:
    found = {name: _find(registry, name) for name in names if name != EVERY}
    unknown = [name for name, source in found.items() if source is None or not source.shared]
    if unknown:
        raise InvalidRequest(
            f"there is no shared data source {_names(unknown)}; a grant names a shared source, or * for all",
            param=param,
        )
    return [source.id if (source := found.get(name)) else EVERY for name in names]


def _find(registry: DataSourceRegistry, name: str) -> StoredSource | None:
    try:
        return registry.stored(name)
    except NotFound:
        return None


def _is_the_users(user: User, source: StoredSource | None) -> bool:
    if source is None:
        return False
    if not source.shared:
        return source.created_by == user.id
    principal = Principal(user)
    return principal.may_use(source.id) or principal.may_write(source.id)


def _names(names: Iterable[str]) -> str:
    return ", ".join(repr(name[:80]) for name in names)
