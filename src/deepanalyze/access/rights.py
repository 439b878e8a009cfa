"""Who may see, use, write to, manage and make which source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepanalyze.accounts import Principal
from deepanalyze.datasources.base import DataSourceConnector
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.errors import PermissionDenied


def may_see(principal: Principal, source: StoredSource) -> bool:
    if source.shared:
        return principal.may_use(source.id) or principal.may_write(source.id)
    return principal.key_admits(source.id) and (principal.is_admin or source.created_by == principal.user_id)


def may_use(principal: Principal, source: StoredSource) -> bool:
    return principal.may_use(source.id) if source.shared else _is_makers_own(principal, source)


def may_write(principal: Principal, source: StoredSource) -> bool:
    """As far as the user goes; a source that is read-only takes nothing from anybody."""
    return principal.may_write(source.id) if source.shared else _is_makers_own(principal, source)


def may_manage(principal: Principal, source: StoredSource) -> bool:
    """Change it, and learn what its credentials could do. Whoever says where a source connects to gets its secrets."""
    return principal.administers if source.shared else _is_makers_own(principal, source)


def may_delete(principal: Principal, source: StoredSource) -> bool:
    return principal.administers or may_manage(principal, source)


def not_managed(source: StoredSource, verb: str) -> PermissionDenied:
    if source.shared:
        return PermissionDenied(
            f"source {source.name!r} is shared; only an administrator may {verb}, with an API key that is not narrowed"
        )
    return PermissionDenied(f"source {source.name!r} is private to the user who made it")


def check_may_create(
    principal: Principal,
    type_name: str,
    connector_class: type[DataSourceConnector],
    config: Mapping[str, Any],
    *,
    shared: bool | None,
    analysts_may_create: bool,
) -> None:
    if principal.is_narrowed:
        raise PermissionDenied(
            "this API key is narrowed to some sources, and a new one would be beyond it; use one that is not"
        )
    check_may_set(principal, connector_class, config)
    if principal.is_admin:
        return
    if not analysts_may_create:
        raise PermissionDenied("only administrators may add data sources on this server")
    if shared:
        raise PermissionDenied(
            "only administrators may add shared sources; leave `shared` out", param="shared"
        )
    if connector_class.admin_only:
        raise PermissionDenied(f"only administrators may add sources of type {type_name!r}", param="type")


def check_may_set(
    principal: Principal, connector_class: type[DataSourceConnector], config: Mapping[str, Any]
) -> None:
    """Whether this user may set these fields, of a source that is new or the user's own."""
    _refuse_references(config)
    if principal.administers:
        return
    for name in sorted(connector_class.admin_only_in(config)):
        raise PermissionDenied(
            f"only administrators may set {name!r}; give explicit credentials instead",
            param=f"config.{name}",
        )


def _is_makers_own(principal: Principal, source: StoredSource) -> bool:
    return principal.key_admits(source.id) and source.created_by == principal.user_id


def _refuse_references(config: Any, path: str = "config") -> None:
    """`${env:…}` and `${file:…}` are read from the configuration file only: a request must not reach the server's
    environment or files.
    """
    if isinstance(config, str) and ("${env:" in config or "${file:" in config):
        raise PermissionDenied(
            f"{path} holds a ${{…}} reference; these count in the configuration file only", param=path
        )
    if isinstance(config, Mapping):
        for key, value in config.items():
            _refuse_references(value, f"{path}.{key}")
    elif isinstance(config, list):
        for index, value in enumerate(config):
            _refuse_references(value, f"{path}[{index}]")
