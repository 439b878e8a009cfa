"""PostgreSQL as a data source: read-only, pooled, exported by COPY."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from deepanalyze.datasources.base import DataItem, DataSourceConfig, OnProgress
from deepanalyze.datasources.capabilities import (
    Certificate,
    Exported,
    FileFormat,
    PoolStats,
    Statistics,
    Table,
)
from deepanalyze.datasources.connectors.postgresql import catalog
from deepanalyze.datasources.connectors.postgresql.config import PostgresConfig
from deepanalyze.datasources.connectors.postgresql.connecting import Connection
from deepanalyze.datasources.connectors.postgresql.describing import describe
from deepanalyze.datasources.connectors.postgresql.errors import postgres_errors
from deepanalyze.datasources.connectors.postgresql.examples import EXAMPLES, PATH_PATTERNS, SAMPLE_QUERIES
from deepanalyze.datasources.connectors.postgresql.identifiers import parse_schema
from deepanalyze.datasources.connectors.postgresql.lease import Lease
from deepanalyze.datasources.connectors.postgresql.overview import overview
from deepanalyze.datasources.connectors.postgresql.preview import preview
from deepanalyze.datasources.connectors.postgresql.reading import Reader
from deepanalyze.datasources.connectors.postgresql.scope import Scope
from deepanalyze.datasources.connectors.postgresql.session import Sessions
from deepanalyze.datasources.connectors.postgresql.statistics import statistics
from deepanalyze.datasources.connectors.postgresql.verdicts import Guard
from deepanalyze.datasources.entra import borrows_identity
from deepanalyze.datasources.fetch import fetch
from deepanalyze.datasources.references import DataReference
from deepanalyze.datasources.schema import validate_config
from deepanalyze.datasources.session_connector import SessionConnector
from deepanalyze.errors import InvalidRequest

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


class PostgreSQLConnector(SessionConnector[Sessions]):
    config_model = PostgresConfig
    title = "PostgreSQL"
    description = "Tables, views and read-only SQL of a PostgreSQL database (version 10 or newer)."
    examples: ClassVar[Sequence[Mapping[str, Any]]] = EXAMPLES
    sample_queries: ClassVar[Sequence[Mapping[str, str]]] = SAMPLE_QUERIES
    path_patterns: ClassVar[Sequence[Mapping[str, str]]] = PATH_PATTERNS
    admin_only_fields = frozenset({"socket_dir"})

    @classmethod
    def admin_only_in(cls, config: Mapping[str, Any]) -> Collection[str]:
        return {*super().admin_only_in(config), *borrows_identity(config)}

    def __init__(self, config: DataSourceConfig) -> None:
        super().__init__(config)
        self._settings = validate_config(PostgresConfig, config.config).resolved()
        self._guard = Guard(
            config.name,
            allowed_functions=self._settings.allowed_functions or (),
            schemas=self._settings.schemas,
            writable=not self._settings.read_only,
        )

    async def _new_session(self) -> Sessions:
        sessions = Sessions(self._settings, self.defaults, self._label)
        await sessions.open()
        return sessions

    async def disconnect(self) -> None:
        self._guard.clear()
        await super().disconnect()

    async def _probe(self) -> None:
        async with self._reading() as connection:
            await connection.execute("SELECT 1")

    async def server_info(self) -> dict[str, Any]:
        async with self._reading() as connection:
            row = await (
                await connection.execute(
                    "SELECT current_setting('server_version'), current_database(), current_user"
                )
            ).fetchone()
            assert row is not None
            return {
                "product": "PostgreSQL",
                "version": row[0],
                "database": row[1],
                "user": row[2],
                "tls": bool(connection.pgconn.ssl_in_use),
                "pooler": self._session.behind_pooler,
            }

    async def list_items(self, path: str | None = None) -> list[DataItem]:
        """Schemas, or the relations of the schema `path` that the role may read."""
        if not path:
            return await self._discovered(catalog.schemas)
        return await self._discovered(partial(catalog.relations, schema=parse_schema(path)))

    async def iter_items(
        self, path: str | None = None, *, recursive: bool = False
    ) -> AsyncIterator[DataItem]:
        for item in await self.list_items(path):
            yield item
        if recursive and not path:
            for item in await self._discovered(catalog.relations):
                yield item

    async def get_metadata(self, identifier: str) -> dict[str, Any]:
        return await self._discovered(partial(describe, path=identifier))

    async def schema(self) -> dict[str, Any]:
        return await self._discovered(overview)

    async def preview(self, path: str, *, limit: int = 10) -> Table:
        return await self._discovered(partial(preview, path=path, limit=limit))

    async def statistics(self, path: str) -> Statistics:
        return await self._discovered(partial(statistics, path=path))

    async def fetch_data(self, identifier: str, workspace: str | Path) -> str:
        """Writes a relation, or what an SQL query gives, as CSV into the directory."""
        as_query = _looks_like_sql(identifier)
        reference = DataReference(
            self.config.id,
            query=identifier if as_query else None,
            table=None if as_query else identifier,
        )
        files = await fetch(self, reference, Path(workspace), limits=self.defaults.limits)
        return str(Path(workspace) / files[0].file)

    async def query(
        self,
        sql: str,
        *,
        params: Sequence[Any] = (),
        max_rows: int | None = None,
        timeout_s: float | None = None,
    ) -> pd.DataFrame:
        """The rows as a DataFrame whose `attrs["truncated"]` says whether there were more than `max_rows`."""
        return await self._reader().frame(sql, params, max_rows, timeout_s)

    async def rows(
        self,
        sql: str,
        *,
        params: Sequence[Any] = (),
        max_rows: int | None = None,
        timeout_s: float | None = None,
        may_write: bool = True,
    ) -> Table:
        return await self._reader().rows(sql, params, max_rows, timeout_s, may_write=may_write)

    async def export(
        self,
        destination: Path,
        *,
        query: str | None = None,
        table: str | None = None,
        params: Sequence[Any] = (),
        format: FileFormat = "csv",
        max_rows: int | None = None,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Exported:
        if (query is None) == (table is None):
            raise InvalidRequest("give exactly one of 'query' and 'table'", param="query")
        return await self._reader().export(
            destination,
            query=query,
            table=table,
            params=params,
            format=format,
            max_rows=max_rows,
            timeout_s=timeout_s,
            on_progress=on_progress,
        )

    async def certify(self) -> Certificate:
        from deepanalyze.datasources.connectors.postgresql.certificate import certify

        sessions = self._session
        with postgres_errors(self._label):
            async with sessions.separate() as connection:
                return await certify(
                    connection,
                    schemas=self._settings.schemas,
                    timeout_s=sessions.time_limit(),
                    read_only=self._settings.read_only,
                )

    def pool_stats(self) -> PoolStats | None:
        return None if self._open is None else self._open.pool_stats()

    async def _discovered(self, work: Callable[..., T]) -> T:
        """What `work` makes of a wire and the `scope` of this source."""

        async def run(lease: Lease) -> T:
            scope = Scope.of(self._settings, lease.connection, self._label)
            return await lease.in_thread(partial(work, scope=scope))

        return await self._session.run(run)

    def _reader(self) -> Reader:
        return Reader(self._settings, self.defaults.limits, self._session, self._guard, self._label)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        async with self._session.reading() as lease:
            yield lease.connection


def _looks_like_sql(identifier: str) -> bool:
    """A relation's path holds no white space outside of quotes; a statement always does."""
    outside = "".join(identifier.split('"')[::2]).strip()
    return any(character.isspace() or character in "(;" for character in outside)
