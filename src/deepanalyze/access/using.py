"""What users do with the sources that are theirs to use."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from deepanalyze.access.abilities import unable
from deepanalyze.access.bringing import counts, fetch_into
from deepanalyze.access.directory import SourceDirectory
from deepanalyze.access.operations import refusals
from deepanalyze.access.rights import may_manage, may_write, not_managed
from deepanalyze.access.sending import send
from deepanalyze.access.turns import SourceTurns
from deepanalyze.accounts import Principal
from deepanalyze.audit import Action
from deepanalyze.datasources.base import DataItem, DataSourceConnector, OnProgress
from deepanalyze.datasources.browse import BrowsePage, browse
from deepanalyze.datasources.capabilities import (
    Certificate,
    Exported,
    FileFormat,
    Statistics,
    SupportsCertificate,
    SupportsExport,
    SupportsPreview,
    SupportsQuery,
    SupportsSchema,
    SupportsStatistics,
    SupportsUpload,
    Table,
)
from deepanalyze.datasources.metadata_cache import Cached
from deepanalyze.datasources.references import DataReference, FetchedFile
from deepanalyze.datasources.registry import DataSourceRegistry
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.errors import DeepAnalyzeError, InvalidRequest, NotSupported, PermissionDenied
from deepanalyze.fairness import FairSlots
from deepanalyze.logging import KnownSecrets
from deepanalyze.telemetry import Telemetry
from deepanalyze.workspace import Workspace

T = TypeVar("T")

PARALLEL_FETCHES = 16  # of the whole server, half of them for one user; each may hold a connection and a file
PARALLEL_TESTS = 4  # they connect before their source has a pool to share


@dataclass(frozen=True, slots=True)
class TestResult:
    """`server` is what the source says of itself; `error` why it could not be reached, or not be certified."""

    status: Literal["success", "failure"]
    latency_ms: float
    server: Mapping[str, Any]
    error: DeepAnalyzeError | None = None
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One SQL statement with its parameters; what is left out is the source's own limit."""

    sql: str
    params: Sequence[Any] = ()
    max_rows: int | None = None
    timeout_s: float | None = None


class SourceAccess(SourceDirectory):
    """The one door to data sources: whoever asks for another's behalf comes through here."""

    def __init__(
        self,
        registry: DataSourceRegistry,
        *,
        analysts_may_create: bool = True,
        parallel_fetches: int = PARALLEL_FETCHES,
        telemetry: Telemetry | None = None,
        secrets: KnownSecrets | None = None,
    ) -> None:
        super().__init__(
            registry, analysts_may_create=analysts_may_create, telemetry=telemetry, secrets=secrets
        )
        self._fetching = FairSlots(parallel_fetches, per_user=max(1, parallel_fetches // 2))
        self._testing = FairSlots(PARALLEL_TESTS, per_user=PARALLEL_TESTS // 2)
        self._turns = SourceTurns(registry.defaults.timeouts.acquire_s)

    async def test(self, principal: Principal, id_or_name: str, *, deep: bool = False) -> TestResult:
        """`deep` also tries what the credential could do without us, which only who manages the source may know."""
        source = self._usable(principal, id_or_name)
        if deep:
            with refusals("certify", source):
                self._check_may_certify(principal, source)
        started = time.perf_counter()
        server: Mapping[str, Any] = {}
        certificate: Certificate | None = None
        failure: DeepAnalyzeError | None = None
        try:
            with self._operation("certify" if deep else "test", source):
                async with self._testing.slot(principal.user_id):
                    connector = await self._registry.check_connection(source.id)
                    server = await connector.server_info()
                    if deep and isinstance(connector, SupportsCertificate):
                        certificate = await connector.certify()
        except DeepAnalyzeError as error:
            failure = error
        latency_ms = round((time.perf_counter() - started) * 1000, 1)
        return TestResult("failure" if failure else "success", latency_ms, server, failure, certificate)

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
        with self._operation("browse", source, path=path):
            async with self._using(principal, source) as connector:
                return await browse(connector, path, recursive=recursive, limit=limit, cursor=cursor)

    async def metadata(
        self, principal: Principal, id_or_name: str, path: str, *, refresh: bool = False
    ) -> Cached[Mapping[str, Any]]:
        source = self._usable(principal, id_or_name)

        async def load(connector: DataSourceConnector) -> Mapping[str, Any]:
            return await connector.get_metadata(path)

        return await self._remembered("metadata", principal, source, path, load, refresh=refresh)

    async def schema(
        self, principal: Principal, id_or_name: str, *, refresh: bool = False
    ) -> Cached[Mapping[str, Any]]:
        source = self._usable(principal, id_or_name)

        async def load(connector: DataSourceConnector) -> Mapping[str, Any]:
            if not isinstance(connector, SupportsSchema):
                raise unable(type(connector), source, "schema")
            return await connector.schema()

        return await self._remembered("schema", principal, source, "", load, refresh=refresh)

    async def statistics(
        self, principal: Principal, id_or_name: str, path: str, *, refresh: bool = False
    ) -> Cached[Statistics]:
        source = self._usable(principal, id_or_name)

        async def load(connector: DataSourceConnector) -> Statistics:
            if not isinstance(connector, SupportsStatistics):
                raise unable(type(connector), source, "statistics")
            return await connector.statistics(path)

        return await self._remembered("statistics", principal, source, path, load, refresh=refresh)

    async def preview(self, principal: Principal, id_or_name: str, path: str, limit: int) -> Table:
        source = self._usable(principal, id_or_name)
        with self._operation("preview", source, path=path) as facts:
            async with self._using(principal, source) as connector:
                if not isinstance(connector, SupportsPreview):
                    raise unable(type(connector), source, "preview")
                table = await connector.preview(path, limit=limit)
                facts.update(rows=len(table.rows), truncated=table.truncated)
                return table

    async def query(self, principal: Principal, id_or_name: str, question: Question) -> Table:
        """What a statement changes, when it may change anything, is no longer as the cache remembers it."""
        source = self._usable(principal, id_or_name)
        with self._operation("query", source, sql=question.sql) as facts:
            async with self._using(principal, source) as connector:
                if not isinstance(connector, SupportsQuery):
                    raise unable(type(connector), source, "SQL")
                table = await connector.rows(
                    question.sql,
                    params=question.params,
                    max_rows=question.max_rows,
                    timeout_s=question.timeout_s,
                    may_write=may_write(principal, source),
                )
                facts.update(rows=len(table.rows), truncated=table.truncated)
                if table.rows_affected is not None:
                    facts["rows_affected"] = table.rows_affected
                    self._registry.clear_cache(source.id)
                return table

    async def export(
        self,
        principal: Principal,
        id_or_name: str,
        question: Question,
        destination: Path,
        format: FileFormat,
    ) -> Exported:
        """The rows of a statement that reads as a file, which appears only when it is complete."""
        source = self._usable(principal, id_or_name)
        with self._operation("export", source, sql=question.sql) as facts:
            async with self._using(principal, source) as connector:
                if not isinstance(connector, SupportsExport):
                    raise unable(type(connector), source, "SQL")
                exported = await connector.export(
                    destination,
                    query=question.sql,
                    params=question.params,
                    format=format,
                    max_rows=question.max_rows,
                    timeout_s=question.timeout_s,
                )
                facts.update(rows=exported.rows, bytes=exported.bytes, truncated=exported.truncated)
                return exported

    async def fetch(
        self,
        principal: Principal,
        reference: DataReference,
        workspace: Workspace,
        on_progress: OnProgress | None = None,
    ) -> list[FetchedFile]:
        """Brings a reference into the workspace, through its staging directory; nothing there is overwritten."""
        source = self._usable(principal, reference.source_id)
        if reference.type is not None and reference.type != source.type:
            raise InvalidRequest(
                f"source {source.name!r} is of type {source.type!r}, not {reference.type!r}", param="type"
            )
        async with self._fetching.slot(principal.user_id):
            with self._operation(
                "fetch",
                source,
                sql=reference.query,
                thread_id=workspace.place or None,
                path=reference.path,
                table=reference.table,
            ) as facts:
                async with self._using(principal, source) as connector:
                    files = await fetch_into(connector, reference, workspace, on_progress)
                    facts.update(counts(files))
                    return files

    async def upload(
        self,
        principal: Principal,
        id_or_name: str,
        workspace: Workspace,
        file: str,
        path: str,
        *,
        overwrite: bool = False,
        metadata: Mapping[str, str],
    ) -> DataItem:
        """Writes a file of the workspace into a source that is writable, for who may write there."""
        source = self._usable(principal, id_or_name)
        with refusals("upload", source):
            _check_may_write(principal, source)
        thread_id = workspace.place or None
        with self._operation("upload", source, thread_id=thread_id, file=file, path=path) as facts:
            async with self._using(principal, source) as connector:
                if not isinstance(connector, SupportsUpload):
                    raise NotSupported(f"source {source.name!r} ({source.type}) takes no files")
                written = await send(connector, workspace, file, path, overwrite=overwrite, metadata=metadata)
                facts.update(bytes=written.size, overwrite=overwrite)
                self._registry.clear_cache(source.id)
                return written

    @asynccontextmanager
    async def _using(self, principal: Principal, source: StoredSource) -> AsyncIterator[DataSourceConnector]:
        connector = await self._registry.get_connector(source.id)
        async with self._turns.turn(principal.user_id, source, connector):
            yield connector

    async def _remembered(
        self,
        what: Action,
        principal: Principal,
        source: StoredSource,
        path: str,
        load: Callable[[DataSourceConnector], Awaitable[T]],
        *,
        refresh: bool,
    ) -> Cached[T]:
        async def ask() -> T:
            async with self._using(principal, source) as connector:
                return await load(connector)

        with self._operation(what, source, path=path or None):
            return await self._registry.metadata.get(source.id, (what, path), ask, refresh=refresh)

    def _check_may_certify(self, principal: Principal, source: StoredSource) -> None:
        if not may_manage(principal, source):
            raise not_managed(source, "learn what its credentials could do")
        connector_class = self._registry.connector_class(source.type)
        if not issubclass(connector_class, SupportsCertificate):
            raise unable(connector_class, source, "certificate")


def _check_may_write(principal: Principal, source: StoredSource) -> None:
    if not may_write(principal, source):
        raise PermissionDenied(
            f"you may read source {source.name!r} but not write to it; an administrator can grant that"
        )
