"""The sources that there are for one user: made, found, described and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from deepanalyze.access.drafts import Verdict, judge, no_type
from deepanalyze.access.operations import hidden, logged, operation, refusals
from deepanalyze.access.rights import (
    check_may_create,
    check_may_set,
    may_delete,
    may_manage,
    may_see,
    may_use,
    not_managed,
)
from deepanalyze.accounts import Principal
from deepanalyze.datasources.base import DataSourceConfig, DataSourceConnector
from deepanalyze.datasources.changes import SourceChange
from deepanalyze.datasources.names import check_name, new_source_id
from deepanalyze.datasources.registry import DataSourceRegistry
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.datasources.templates import Template, template_of
from deepanalyze.errors import InvalidRequest, NotFound
from deepanalyze.logging import KnownSecrets
from deepanalyze.telemetry import Telemetry

# `list` means a method inside the class below
Sources = list[StoredSource]
Templates = list[Template]


class SourceDirectory:
    """
    Shared sources are for those who have a grant, private ones for their maker. Administrators see every source and
    may delete it, but do not use or change what is private to others. What one may not see does not exist for one.
    """

    def __init__(
        self,
        registry: DataSourceRegistry,
        *,
        analysts_may_create: bool = True,
        telemetry: Telemetry | None = None,
        secrets: KnownSecrets | None = None,
    ) -> None:
        observers = (telemetry or Telemetry(), secrets or KnownSecrets())
        self._registry = registry
        self._logged = partial(logged, *observers)
        self._operation = partial(operation, *observers)
        self._analysts_may_create = analysts_may_create

    async def create(
        self,
        principal: Principal,
        *,
        type: str,
        name: str,
        config: Mapping[str, Any],
        id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        test_connection: bool = True,
        shared: bool | None = None,
    ) -> StoredSource:
        """Validates, then connects, then stores; a source that fails is not stored. Private ones are an analyst's
        only kind, shared ones an administrator's usual one.
        """
        check_name(name, param="name")
        if id is not None:
            check_name(id, param="id")
        check_may_create(
            principal,
            type,
            self._connector_class(type),
            config,
            shared=shared,
            analysts_may_create=self._analysts_may_create,
        )
        wanted = DataSourceConfig(id or new_source_id(), type, name, dict(config), dict(metadata or {}))
        with self._logged("create", wanted.id, type, source_name=name):
            return await self._registry.register_data_source(
                wanted,
                test_connection=test_connection,
                created_by=principal.user_id,
                shared=principal.is_admin if shared is None else shared,
            )

    def list(self, principal: Principal, type: str | None = None) -> Sources:
        """Those the user may see, by name."""
        visible = (s for s in self._registry.stored_sources() if may_see(principal, s))
        return sorted((s for s in visible if type in (None, s.type)), key=lambda s: s.name)

    def get(self, principal: Principal, id_or_name: str) -> StoredSource:
        try:
            source = self._registry.stored(id_or_name)
        except NotFound:
            source = None
        if source is None or not may_see(principal, source):
            if source is not None:
                hidden(source)
            raise NotFound(f"there is no data source {id_or_name[:80]!r}", param="source_id")
        return source

    def public_config(self, source: StoredSource) -> dict[str, Any]:
        return self._registry.public_config(source)

    def validate(
        self, principal: Principal, *, type: str | None, name: str | None, config: Mapping[str, Any]
    ) -> Verdict:
        """Of a description that may be incomplete; nothing is connected or stored."""
        known = sorted(self._registry.types())
        if type is None:
            return no_type(known, None)
        try:
            connector_class = self._connector_class(type)
        except InvalidRequest as error:
            return no_type(known, error)
        check_may_set(principal, connector_class, config)
        return judge(connector_class, name, config)

    async def update(
        self,
        principal: Principal,
        id_or_name: str,
        change: SourceChange,
        *,
        expected_version: int | None = None,
    ) -> StoredSource:
        """For who may manage it, with values that this user may set."""
        source = self.get(principal, id_or_name)
        with refusals("change", source):
            if not may_manage(principal, source):
                raise not_managed(source, "change it")
            if change.config is not None:
                check_may_set(principal, self._connector_class(source.type), change.config)
        fields = ", ".join(sorted(change.config or ())) or None
        with self._operation("change", source, new_name=change.name, fields=fields):
            return await self._registry.update_data_source(
                source.id, change, expected_version=expected_version
            )

    async def delete(self, principal: Principal, id_or_name: str) -> str:
        source = self.get(principal, id_or_name)
        with refusals("delete", source):
            if not may_delete(principal, source):
                raise not_managed(source, "delete it")
        with self._operation("delete", source):
            await self._registry.unregister_data_source(source.id)
        return source.id

    def templates(self) -> Templates:
        return [self.template(type_name) for type_name in sorted(self._registry.types())]

    def template(self, type: str) -> Template:
        if type not in self._registry.types():
            known = ", ".join(sorted(self._registry.types()))
            raise NotFound(f"there is no source type {type[:80]!r}; there are: {known}", param="type")
        return template_of(type, self._registry.connector_class(type))

    def _usable(self, principal: Principal, id_or_name: str) -> StoredSource:
        source = self.get(principal, id_or_name)
        with refusals("use", source):
            if not may_use(principal, source):
                raise not_managed(source, "use it")
        return source

    def _connector_class(self, type_name: str) -> type[DataSourceConnector]:
        if type_name not in self._registry.types():
            known = ", ".join(sorted(self._registry.types()))
            raise InvalidRequest(
                f"there is no source type {type_name[:80]!r}; use one of: {known}", param="type"
            )
        return self._registry.connector_class(type_name)
