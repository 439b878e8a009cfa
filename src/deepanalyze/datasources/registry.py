"""Every configured source, and its live connector."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Mapping
from typing import Any, Literal, Self

from deepanalyze.datasources.base import DataSourceConfig, DataSourceConnector
from deepanalyze.datasources.capabilities import PoolStats, SupportsPoolStats
from deepanalyze.datasources.changes import SourceChange, changed_config, check_version
from deepanalyze.datasources.credentials import CredentialManager, sanitize
from deepanalyze.datasources.limits import SourceDefaults
from deepanalyze.datasources.live import LiveConnectors, plugin_errors
from deepanalyze.datasources.masking import MASK
from deepanalyze.datasources.memory import InMemoryRepository
from deepanalyze.datasources.metadata_cache import MetadataCache
from deepanalyze.datasources.names import check_id, check_name
from deepanalyze.datasources.plugins import ConnectorTypes
from deepanalyze.datasources.repository import ConfigRepository, StoredSource
from deepanalyze.datasources.schema import merge_secrets, split_secrets
from deepanalyze.errors import (
    AlreadyExists,
    ConfigurationError,
    DeepAnalyzeError,
    NotFound,
    SourceUnavailable,
)

_CALLERS_OWN = object()


class DataSourceRegistry:
    """Works without arguments, in memory. For one event loop; an async context manager that ends everything.

    Reading calls are synchronous: the registry keeps its own index, in which secrets are ciphertexts. They are
    decrypted when a connector is made, and for `get_config(…, sanitize=False)`.
    """

    def __init__(
        self,
        credential_manager: CredentialManager | None = None,
        repository: ConfigRepository | None = None,
        *,
        defaults: SourceDefaults | None = None,
        metadata_ttl_s: float = 5 * 60,
    ) -> None:
        self._credentials = credential_manager or CredentialManager()
        self._repository: ConfigRepository = repository or InMemoryRepository()
        self._defaults = defaults or SourceDefaults()
        self._types = ConnectorTypes()
        self._sources: dict[str, StoredSource] = {}
        self._reserved: set[str] = set()
        self._live = LiveConnectors()
        self.metadata = MetadataCache(metadata_ttl_s)
        self._log = logging.getLogger(__name__)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.disconnect_all()

    async def load(self) -> None:
        """Reads every stored source and tries its secrets. Raises ConfigurationError when a key does not fit."""
        found = {source.id: source for source in await self._repository.list()}
        for source in found.values():
            self._plain_config(source)
        self._sources = found

    # types

    def register_connector_class(self, type: str, connector_class: type[DataSourceConnector]) -> None:
        """Adds a type, or replaces one for the connectors made from now on."""
        self._types.register(type, connector_class)

    def connector_class(self, type: str) -> type[DataSourceConnector]:
        return self._types.connector_class(type)

    def types(self) -> list[str]:
        return self._types.names()

    # sources

    async def register_data_source(
        self,
        config: DataSourceConfig,
        test_connection: bool = False,
        *,
        created_by: str | None = None,
        shared: bool = True,
        origin: Literal["api", "config"] = "api",
    ) -> StoredSource:
        """Validates, then connects (when asked to), then stores; what fails stores nothing.

        Raises InvalidRequest with an entry for every wrong field, AlreadyExists, and what the connector raises.
        """
        check_id(config.id)
        check_name(config.name)
        public, secrets = split_secrets(self.connector_class(config.type).config_model, config.config)
        with _Reservation(self, config.id, config.name):
            if test_connection:
                await self._try(dataclasses.replace(config, config=merge_secrets(public, secrets)))
            now = int(time.time())
            source = StoredSource(
                id=config.id,
                type=str(config.type),
                name=config.name,
                config=public,
                secrets={f: self._credentials.encrypt(v, row=config.id, field=f) for f, v in secrets.items()},
                metadata=dict(config.metadata),
                created_at=config.created_at,
                updated_at=now,
                created_by=created_by,
                shared=shared,
                origin=origin,
                status="ok" if test_connection else "untested",
                last_tested_at=now if test_connection else None,
            )
            await asyncio.shield(self._add(source))
        self._log.info("data source registered", extra=_named(source))
        return source

    async def update_data_source(
        self,
        id_or_name: str,
        change: SourceChange,
        *,
        expected_version: int | None = None,
    ) -> StoredSource:
        """Validates the whole, connects when the config changes (unless told not to), then stores; what fails changes
        nothing. What uses the source goes on with the new connector; the old one is closed.

        Raises NotFound, Stale where the version is another, AlreadyExists for a taken name, and as
        `register_data_source`.
        """
        known = self.stored(id_or_name)
        check_version(known, expected_version)
        name = known.name if change.name is None else change.name
        check_name(name)
        whole = known_config = self._plain_config(known)
        if change.config is not None:
            whole = changed_config(self.connector_class(known.type), known_config, change.config)
        public, secrets = split_secrets(self.connector_class(known.type).config_model, whole)
        reconnects = merge_secrets(public, secrets) != known_config
        with _Reservation(self, known.id, name, besides=known.id):
            tested = reconnects and change.test_connection
            if tested:
                await self._try(DataSourceConfig(known.id, known.type, name, merge_secrets(public, secrets)))
            now = int(time.time())
            changed = dataclasses.replace(
                known,
                name=name,
                config=public,
                secrets=self._encrypted(known, secrets),
                metadata=known.metadata if change.metadata is None else dict(change.metadata),
                updated_at=now,
                version=known.version + 1,
                status=("ok" if tested else "untested") if reconnects else known.status,
                last_tested_at=now if tested else known.last_tested_at,
            )
            await asyncio.shield(
                self._change(changed, known.version, closes=reconnects or name != known.name)
            )
        self._log.info("data source changed", extra=_named(changed))
        return changed

    def _encrypted(self, known: StoredSource, secrets: Mapping[str, str]) -> dict[str, str]:
        return {
            field: self._credentials.encrypt(value, row=known.id, field=field)
            for field, value in secrets.items()
        }

    async def _change(self, source: StoredSource, expected_version: int, *, closes: bool) -> None:
        """As `_add`. The connector knows its source's name, for messages, so that a new one needs a new connector."""
        await self._repository.update(source, expected_version=expected_version)
        self._sources[source.id] = source
        self.clear_cache(source.id)
        if closes:
            try:
                await self._live.close(source.id)
            finally:
                self.clear_cache(source.id)

    async def unregister_data_source(self, id_or_name: str) -> None:
        """Closes the connector, forgets the source and what was cached of it. Raises NotFound."""
        source = self.stored(id_or_name)
        await asyncio.shield(self._remove(source.id))
        self._log.info("data source unregistered", extra=_named(source))

    async def _add(self, source: StoredSource) -> None:
        """Not to be cancelled half-way: repository and index would differ until the next start."""
        await self._repository.add(source)
        self._sources[source.id] = source

    async def _remove(self, source_id: str) -> None:
        """As `_add`."""
        await self._repository.delete(source_id)
        self._sources.pop(source_id, None)
        self.clear_cache(source_id)
        try:
            await self._live.close(source_id)
        finally:  # who had the connector already may have read with it until now
            self.clear_cache(source_id)

    def stored(self, id_or_name: str) -> StoredSource:
        source = self._sources.get(id_or_name)
        if source is None:
            source = next((s for s in self._sources.values() if s.name == id_or_name), None)
        if source is None:
            raise NotFound(f"there is no data source {id_or_name!r}")
        return source

    def stored_sources(self) -> list[StoredSource]:
        return sorted(self._sources.values(), key=lambda source: (source.created_at, source.id))

    def list_data_sources(self) -> list[DataSourceConfig]:
        """Every source, its secrets masked."""
        return [self.get_config(source.id) for source in self.stored_sources()]

    def get_config(self, id_or_name: str, sanitize: bool = True) -> DataSourceConfig:
        source = self.stored(id_or_name)
        config = self.public_config(source) if sanitize else self._plain_config(source)
        return DataSourceConfig(
            id=source.id,
            type=source.type,
            name=source.name,
            config=config,
            metadata=dict(source.metadata),
            created_at=source.created_at,
        )

    def public_config(self, source: StoredSource) -> dict[str, Any]:
        masked: dict[str, Any] = sanitize(merge_secrets(source.config, dict.fromkeys(source.secrets, MASK)))
        return masked

    # connectors

    async def get_connector(self, id_or_name: str) -> DataSourceConnector:
        """The one live connector of the source, connected when first asked for; concurrent callers share that."""
        source = self.stored(id_or_name)
        return await self._live.get(source.id, lambda: self._make(self.get_config(source.id, sanitize=False)))

    async def test_connection(self, id_or_name: str) -> bool:
        """False leaves the reason in the log and, once there is a connector, in its `last_error`."""
        try:
            await self.check_connection(id_or_name)
        except NotFound:
            raise
        except DeepAnalyzeError:
            return False
        return True

    async def check_connection(self, id_or_name: str) -> DataSourceConnector:
        """As `test_connection`, but raises the reason."""
        source = self.stored(id_or_name)
        try:
            connector = await self.get_connector(source.id)
            await _check(connector)
        except DeepAnalyzeError as error:
            self._log.warning(
                "data source test failed",
                extra={**_named(source), "code": error.code, "error": error.message},
            )
            await self._set_status(source.id, "error")
            raise
        await self._set_status(source.id, "ok")
        return connector

    def pool_stats(self) -> dict[str, PoolStats]:
        """By source id; of those that are connected and have a pool."""
        found = {
            source_id: connector.pool_stats()
            for source_id, connector in self._live.opened().items()
            if isinstance(connector, SupportsPoolStats)
        }
        return {source_id: stats for source_id, stats in found.items() if stats is not None}

    def connections(self) -> dict[str, float]:
        """Of all of them together."""
        found = self.pool_stats().values()
        names = ("in_use", "idle", "waiting")
        return {name: float(sum(getattr(stats, name) for stats in found)) for name in names}

    async def disconnect_all(self) -> None:
        await self._live.close_all()
        self.clear_cache()

    # cached metadata: a value of the caller's own for each source, beside what `metadata` keeps

    def cache_metadata(self, source_id: str, data: Any) -> None:
        self.metadata.put(source_id, _CALLERS_OWN, data)

    def get_cached_metadata(self, source_id: str) -> Any | None:
        kept = self.metadata.peek(source_id, _CALLERS_OWN)
        return None if kept is None else kept.value

    def clear_cache(self, source_id: str | None = None) -> None:
        """Of all sources when none is named."""
        self.metadata.invalidate(source_id)

    # inside

    def _make(self, config: DataSourceConfig) -> DataSourceConnector:
        connector = self.connector_class(config.type)(config)
        connector.defaults = self._defaults
        return connector

    async def _try(self, config: DataSourceConfig) -> None:
        connector = self._make(config)
        try:
            with plugin_errors(connector):
                await connector.connect()
            await _check(connector)
        finally:
            await connector.disconnect()

    def _plain_config(self, source: StoredSource) -> dict[str, Any]:
        try:
            plain = {
                f: self._credentials.decrypt(t, row=source.id, field=f) for f, t in source.secrets.items()
            }
        except ConfigurationError as error:
            raise ConfigurationError(f"data source {source.name!r}: {error.message}") from error
        return merge_secrets(source.config, plain)

    async def _set_status(self, source_id: str, status: Literal["ok", "error"]) -> None:
        now = int(time.time())
        if source_id not in self._sources:  # unregistered while it was tested
            return
        await self._repository.set_status(source_id, status, now)
        if source_id in self._sources:
            self._sources[source_id] = dataclasses.replace(
                self._sources[source_id], status=status, last_tested_at=now
            )


class _Reservation:
    """Keeps an id and a name for a registration while it tests and stores; of concurrent ones, one succeeds."""

    def __init__(
        self, registry: DataSourceRegistry, source_id: str, name: str, *, besides: str | None = None
    ) -> None:
        self._registry = registry
        self._besides = besides
        self._labels = {"id": source_id, "name": name}

    def __enter__(self) -> None:
        registry = self._registry
        own = registry._sources.get(self._besides or "")
        owned = (
            {own.id, own.name} if own else set()
        )  # of two changes at a time the version tells the later one
        known = {label for s in registry._sources.values() for label in (s.id, s.name)}
        taken = (registry._reserved | known) - owned
        for param, label in self._labels.items():
            if label in taken:
                raise AlreadyExists(
                    f"a data source with the name or id {label!r} exists already", param=param
                )
        registry._reserved.update(self._labels.values())

    def __exit__(self, *exc: object) -> None:
        self._registry._reserved.difference_update(self._labels.values())


def _named(source: StoredSource) -> dict[str, str]:
    return {"source_id": source.id, "source_type": source.type, "source_name": source.name}


async def _check(connector: DataSourceConnector) -> None:
    with plugin_errors(connector):
        if await connector.test_connection():
            return
    error = connector.last_error
    if isinstance(error, DeepAnalyzeError):
        raise error
    raise SourceUnavailable(f"source {connector.config.name!r}: the connection test failed") from error
