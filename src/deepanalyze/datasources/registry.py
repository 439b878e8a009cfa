"""Every configured source, and its live connector."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Sequence
from typing import Any, Literal, Self
from weakref import WeakValueDictionary

from deepanalyze.datasources.base import DataSourceConfig, DataSourceConnector
from deepanalyze.datasources.capabilities import PoolStats
from deepanalyze.datasources.changes import SourceChange, changed_config, check_version
from deepanalyze.datasources.credentials import CredentialManager, sanitize
from deepanalyze.datasources.declared import Changes, check_names_free, declared_source, is_declared
from deepanalyze.datasources.limits import SourceDefaults
from deepanalyze.datasources.live import LiveConnectors, plugin_errors
from deepanalyze.datasources.masking import MASK
from deepanalyze.datasources.memory import InMemoryRepository
from deepanalyze.datasources.metadata_cache import MetadataCache
from deepanalyze.datasources.names import check_id, check_name
from deepanalyze.datasources.plugins import ConnectorTypes
from deepanalyze.datasources.repository import ConfigRepository, StoredSource
from deepanalyze.datasources.reservations import Reservations
from deepanalyze.datasources.schema import merge_secrets, split_secrets
from deepanalyze.datasources.sealing import Sealer, SecretListener
from deepanalyze.errors import (
    DeepAnalyzeError,
    NotFound,
    PermissionDenied,
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
        secrets: SecretListener | None = None,
    ) -> None:
        self._sealer = Sealer(credential_manager or CredentialManager(), secrets)
        self._repository: ConfigRepository = repository or InMemoryRepository()
        self.defaults = defaults or SourceDefaults()
        self._types = ConnectorTypes()
        self._sources: dict[str, StoredSource] = {}
        self._reserved = Reservations()
        self._live = LiveConnectors()
        self._changing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
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
            self._sealer.plain_config(source)
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
    ) -> StoredSource:
        """Validates, then connects (when asked to), then stores; what fails stores nothing.

        Raises InvalidRequest with an entry for every wrong field, AlreadyExists, and what the connector raises.
        """
        check_id(config.id)
        check_name(config.name)
        public, secrets = self._split(config)
        with self._reserved.held(config.id, config.name, self._sources.values()):
            sealed = self._sealer.seal(config.id, secrets)
            if test_connection:
                await self._try(dataclasses.replace(config, config=merge_secrets(public, secrets)))
            now = int(time.time())
            source = StoredSource(
                id=config.id,
                type=str(config.type),
                name=config.name,
                config=public,
                secrets=sealed,
                metadata=dict(config.metadata),
                created_at=config.created_at,
                updated_at=now,
                created_by=created_by,
                shared=shared,
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
        nothing. What uses the source goes on with the new connector; the old one is closed. Changes of one source are
        made one after another.

        Raises NotFound, PermissionDenied for a declared source, Stale where the version is another, AlreadyExists for a
        taken name, and as `register_data_source`.
        """
        async with self._changing.setdefault(self.stored(id_or_name).id, asyncio.Lock()):
            return await self._update(id_or_name, change, expected_version)

    async def _update(
        self, id_or_name: str, change: SourceChange, expected_version: int | None
    ) -> StoredSource:
        known = self.stored(id_or_name)
        self._check_not_declared(known)
        check_version(known, expected_version)
        name = known.name if change.name is None else change.name
        check_name(name)
        connector_class = self.connector_class(known.type)
        whole = known_config = self._sealer.plain_config(known)
        if change.config is not None:
            whole = changed_config(connector_class, known_config, change.config)
        public, secrets = split_secrets(connector_class.config_model, whole)
        reconnects = merge_secrets(public, secrets) != known_config
        with self._reserved.held(known.id, name, self._sources.values(), own=known):
            tested = reconnects and change.test_connection
            sealed = self._sealer.seal(known.id, secrets)
            if tested:
                await self._try(DataSourceConfig(known.id, known.type, name, merge_secrets(public, secrets)))
            now = int(time.time())
            changed = dataclasses.replace(
                known,
                name=name,
                config=public,
                secrets=sealed,
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
        self._check_not_declared(source)
        await asyncio.shield(self._remove(source.id))
        self._log.info("data source unregistered", extra=_named(source))

    # sources of a configuration file: held in memory, so that the file alone says which there are

    def _check_not_declared(self, source: StoredSource) -> None:
        if is_declared(source):
            raise PermissionDenied(
                f"data source {source.name!r} is declared in the configuration file; change or remove it there"
            )

    def check_declarable(self, wanted: Sequence[DataSourceConfig]) -> None:
        """Raises AlreadyExists when a source that is no declared one has the name or id of one that is to be."""
        check_names_free(wanted, self._sources.values(), self._reserved)

    async def declare(self, wanted: Sequence[DataSourceConfig]) -> Changes:
        """Replaces all declared sources; raises as `check_declarable` or InvalidRequest, and changes nothing then.

        What has not changed keeps its connector. Work on a changed one may end with the connector that it has; a
        removed one is closed at once.
        """
        self.check_declarable(wanted)
        old = {source.id: source for source in self._sources.values() if is_declared(source)}
        new = {each.id: self._as_declared(each, old.get(each.id)) for each in wanted}
        self._sources = {i: s for i, s in self._sources.items() if i not in old} | new
        for source_id in old:
            if old[source_id] is new.get(source_id):
                continue
            self.clear_cache(source_id)
            if source_id in new:
                self._live.retire(source_id, self.defaults.timeouts.query_ceiling_s)
            else:
                self._sealer.forget(source_id)
                await self._live.close(source_id)
                self.clear_cache(source_id)
        return Changes.between(old, new)

    def _as_declared(self, config: DataSourceConfig, old: StoredSource | None) -> StoredSource:
        """`old` itself where nothing has changed."""
        public, secrets = self._split(config)
        if (
            old is not None
            and (old.type, old.config, old.metadata) == (config.type, public, config.metadata)
            and self._sealer.opened(old) == secrets
        ):
            return old
        return declared_source(config, public, self._sealer.seal(config.id, secrets), old)

    def _split(self, config: DataSourceConfig) -> tuple[dict[str, Any], dict[str, str]]:
        return split_secrets(self.connector_class(config.type).config_model, config.config)

    async def _add(self, source: StoredSource) -> None:
        """Not to be cancelled half-way: repository and index would differ until the next start."""
        await self._repository.add(source)
        self._sources[source.id] = source

    async def _remove(self, source_id: str) -> None:
        """As `_add`."""
        await self._repository.delete(source_id)
        self._sources.pop(source_id, None)
        self._sealer.forget(source_id)
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
        config = self.public_config(source) if sanitize else self._sealer.plain_config(source)
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
        return self._live.pool_stats()

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
        connector.defaults = self.defaults
        return connector

    async def _try(self, config: DataSourceConfig) -> None:
        connector = self._make(config)
        try:
            with plugin_errors(connector):
                await connector.connect()
            await _check(connector)
        finally:
            await connector.disconnect()

    async def _set_status(self, source_id: str, status: Literal["ok", "error"]) -> None:
        now = int(time.time())
        known = self._sources.get(source_id)
        if known is None:  # unregistered while it was tested
            return
        if not is_declared(known):
            await self._repository.set_status(source_id, status, now)
        if source_id in self._sources:
            self._sources[source_id] = dataclasses.replace(
                self._sources[source_id], status=status, last_tested_at=now
            )


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
