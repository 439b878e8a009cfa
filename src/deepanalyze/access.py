"""Data sources as one user may see and use them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import structlog

from deepanalyze.accounts import Principal
from deepanalyze.datasources.base import DataSourceConfig, DataSourceConnector, OnProgress
from deepanalyze.datasources.browse import BrowsePage, browse
from deepanalyze.datasources.fetch import DataReference, FetchedFile, fetch
from deepanalyze.datasources.names import check_name, new_source_id
from deepanalyze.datasources.registry import DataSourceRegistry
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.datasources.templates import Template, template_of
from deepanalyze.errors import DeepAnalyzeError, InvalidRequest, NotFound, PermissionDenied
from deepanalyze.workspace import Workspace

# `list` means a method inside the class below
Sources = list[StoredSource]
FetchedFiles = list[FetchedFile]
Templates = list[Template]

PARALLEL_FETCHES = 8  # of the whole server; each may hold a connection and a file

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TestResult:
    """`server` is what the source says of itself; `error` why it could not be reached."""

    status: Literal["success", "failure"]
    latency_ms: float
    server: Mapping[str, Any]
    error: DeepAnalyzeError | None = None


class SourceAccess:
    """
    Shared sources are for those who have a grant, private ones for their maker. Administrators see every source and
    may delete it, but do not use what is private to others. What one may not see does not exist for one.
    """

    def __init__(
        self,
        registry: DataSourceRegistry,
        *,
        analysts_may_create: bool = True,
        parallel_fetches: int = PARALLEL_FETCHES,
    ) -> None:
        self._registry = registry
        self._analysts_may_create = analysts_may_create
        self._fetching = asyncio.Semaphore(parallel_fetches)

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
        connector_class = self._connector_class(type)
        self._check_may_create(principal, type, connector_class, config, shared)
        wanted = DataSourceConfig(id or new_source_id(), type, name, dict(config), dict(metadata or {}))
        with _operation("create", wanted.id, type):
            return await self._registry.register_data_source(
                wanted,
                test_connection=test_connection,
                created_by=principal.user_id,
                shared=principal.is_admin if shared is None else shared,
            )

    def list(self, principal: Principal, type: str | None = None) -> Sources:
        """Those the user may see, by name."""
        visible = (s for s in self._registry.stored_sources() if _may_see(principal, s))
        return sorted((s for s in visible if type in (None, s.type)), key=lambda s: s.name)

    def get(self, principal: Principal, id_or_name: str) -> StoredSource:
        try:
            source = self._registry.stored(id_or_name)
        except NotFound:
            source = None
        if source is None or not _may_see(principal, source):
            raise NotFound(f"there is no data source {id_or_name[:80]!r}", param="source_id")
        return source

    def public_config(self, source: StoredSource) -> dict[str, Any]:
        return self._registry.public_config(source)

    async def delete(self, principal: Principal, id_or_name: str) -> str:
        source = self.get(principal, id_or_name)
        if not principal.is_admin and (source.shared or source.created_by != principal.user_id):
            raise PermissionDenied(f"source {source.name!r} is shared; only an administrator may delete it")
        if source.origin == "config":
            raise PermissionDenied(
                f"source {source.name!r} is declared in the configuration file; remove it there"
            )
        with _operation("delete", source.id, source.type):
            await self._registry.unregister_data_source(source.id)
        return source.id

    async def test(self, principal: Principal, id_or_name: str) -> TestResult:
        source = self._usable(principal, id_or_name)
        started = time.perf_counter()
        server: Mapping[str, Any] = {}
        failure: DeepAnalyzeError | None = None
        try:
            with _operation("test", source.id, source.type):
                await self._registry.check_connection(source.id)
                server = await (await self._registry.get_connector(source.id)).server_info()
        except DeepAnalyzeError as error:
            failure = error
        latency_ms = round((time.perf_counter() - started) * 1000, 1)
        return TestResult("failure" if failure else "success", latency_ms, server, failure)

    async def browse(
        self,
        principal: Principal,
        id_or_name: str,
        path: str | None = None,
        recursive: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> BrowsePage:
        source = self._usable(principal, id_or_name)
        with _operation("browse", source.id, source.type):
            connector = await self._registry.get_connector(source.id)
            return await browse(connector, path, recursive=recursive, limit=limit, cursor=cursor)

    async def fetch(
        self,
        principal: Principal,
        reference: DataReference,
        workspace: Workspace,
        on_progress: OnProgress | None = None,
    ) -> FetchedFiles:
        """Brings a reference into the workspace, through its staging directory; nothing there is overwritten."""
        source = self._usable(principal, reference.source_id)
        if reference.type is not None and reference.type != source.type:
            raise InvalidRequest(
                f"source {source.name!r} is of type {source.type!r}, not {reference.type!r}", param="type"
            )
        async with self._fetching:
            with _operation("fetch", source.id, source.type):
                connector = await self._registry.get_connector(source.id)
                return await _fetch_into(connector, reference, workspace, on_progress)

    def templates(self) -> Templates:
        return [self.template(type_name) for type_name in sorted(self._registry.types())]

    def template(self, type: str) -> Template:
        if type not in self._registry.types():
            known = ", ".join(sorted(self._registry.types()))
            raise NotFound(f"there is no source type {type[:80]!r}; there are: {known}", param="type")
        return template_of(type, self._registry.connector_class(type))

    def _usable(self, principal: Principal, id_or_name: str) -> StoredSource:
        source = self.get(principal, id_or_name)
        if not _may_use(principal, source):
            raise PermissionDenied(f"source {source.name!r} is private to the user who made it")
        return source

    def _connector_class(self, type_name: str) -> type[DataSourceConnector]:
        if type_name not in self._registry.types():
            known = ", ".join(sorted(self._registry.types()))
            raise InvalidRequest(
                f"there is no source type {type_name[:80]!r}; use one of: {known}", param="type"
            )
        return self._registry.connector_class(type_name)

    def _check_may_create(
        self,
        principal: Principal,
        type_name: str,
        connector_class: type[DataSourceConnector],
        config: Mapping[str, Any],
        shared: bool | None,
    ) -> None:
        _refuse_references(config)
        if principal.is_admin:
            return
        if not self._analysts_may_create:
            raise PermissionDenied("only administrators may add data sources on this server")
        if shared:
            raise PermissionDenied(
                "only administrators may add shared sources; leave `shared` out", param="shared"
            )
        if connector_class.admin_only:
            raise PermissionDenied(f"only administrators may add sources of type {type_name!r}", param="type")
        for name in sorted(connector_class.admin_only_in(config)):
            raise PermissionDenied(
                f"only administrators may set {name!r}; give explicit credentials instead",
                param=f"config.{name}",
            )


async def _fetch_into(
    connector: DataSourceConnector,
    reference: DataReference,
    workspace: Workspace,
    on_progress: OnProgress | None,
) -> list[FetchedFile]:
    directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="fetch-", dir=workspace.staging))
    try:
        limits = connector.defaults.limits
        fetched = await fetch(connector, reference, directory, limits=limits, on_progress=on_progress)
        return await asyncio.to_thread(lambda: [_adopt(workspace, directory, file) for file in fetched])
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


def _adopt(workspace: Workspace, directory: Path, file: FetchedFile) -> FetchedFile:
    staged = workspace.staging / f"{directory.name}-file"  # adopted from here, not from folders below
    (directory / file.file).rename(staged)
    try:
        return replace(file, file=workspace.adopt(staged, file.file))
    finally:
        staged.unlink(missing_ok=True)


def _may_see(principal: Principal, source: StoredSource) -> bool:
    if source.shared:
        return principal.may_use(source.id) or principal.may_write(source.id)
    return _key_admits(principal, source) and (principal.is_admin or source.created_by == principal.user_id)


def _may_use(principal: Principal, source: StoredSource) -> bool:
    if source.shared:
        return principal.may_use(source.id)
    return _key_admits(principal, source) and source.created_by == principal.user_id


def _key_admits(principal: Principal, source: StoredSource) -> bool:
    return "*" in principal.sources or source.id in principal.sources


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


@contextmanager
def _operation(name: str, source_id: str, source_type: str) -> Iterator[None]:
    """One record for each use of a source; how it failed, when it did."""
    started = time.perf_counter()
    outcome: dict[str, Any] = {"outcome": "ok"}
    try:
        yield
    except DeepAnalyzeError as error:
        outcome = {"outcome": "failed", "code": error.code, "error": error.message}
        raise
    except BaseException as error:
        outcome = {"outcome": "failed", "error": type(error).__name__}
        raise
    finally:
        duration_ms = round((time.perf_counter() - started) * 1000, 1)
        record = log.info if outcome["outcome"] == "ok" else log.warning
        record(
            "source operation",
            operation=name,
            source_id=source_id,
            source_type=source_type,
            duration_ms=duration_ms,
            **outcome,
        )
