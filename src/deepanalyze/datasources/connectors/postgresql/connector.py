"""PostgreSQL as a data source: read-only, pooled, exported by COPY."""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from psycopg.rows import class_row

from deepanalyze.datasources.base import Column, DataItem, DataSourceConfig, DataSourceConnector, OnProgress
from deepanalyze.datasources.capabilities import Exported, FileFormat
from deepanalyze.datasources.connectors.postgresql import catalog
from deepanalyze.datasources.connectors.postgresql.config import PostgresConfig
from deepanalyze.datasources.connectors.postgresql.examples import EXAMPLES, PATH_PATTERNS, SAMPLE_QUERIES
from deepanalyze.datasources.connectors.postgresql.export import (
    ColumnType,
    copy_statement,
    header,
    limited_statement,
    write_copy,
    write_rows,
)
from deepanalyze.datasources.connectors.postgresql.functions import (
    LOOK_UP,
    Known,
    judge,
    look_up_parameters,
    needs_look_up,
)
from deepanalyze.datasources.connectors.postgresql.guard import Statement, read_only_statement
from deepanalyze.datasources.connectors.postgresql.identifiers import (
    always_quoted,
    distinct_names,
    parse_schema,
)
from deepanalyze.datasources.connectors.postgresql.session import Connection, Sessions
from deepanalyze.datasources.connectors.postgresql.wire import Wire
from deepanalyze.datasources.fetch import DataReference, fetch
from deepanalyze.datasources.schema import validate_config
from deepanalyze.errors import DeepAnalyzeError, InvalidRequest, NotSupported, SourceUnavailable

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


class PostgreSQLConnector(DataSourceConnector):
    config_model = PostgresConfig
    title = "PostgreSQL"
    description = "Tables, views and read-only SQL of a PostgreSQL database (version 10 or newer)."
    examples: ClassVar[Sequence[Mapping[str, Any]]] = EXAMPLES
    sample_queries: ClassVar[Sequence[Mapping[str, str]]] = SAMPLE_QUERIES
    path_patterns: ClassVar[Sequence[Mapping[str, str]]] = PATH_PATTERNS
    admin_only_fields = frozenset({"socket_dir"})

    def __init__(self, config: DataSourceConfig) -> None:
        super().__init__(config)
        self._settings = validate_config(PostgresConfig, config.config).resolved()
        self._opening = asyncio.Lock()
        self._sessions: Sessions | None = None

    @property
    def _name(self) -> str:
        return self.config.name

    async def connect(self) -> None:
        async with self._opening:
            if self._sessions is None:
                sessions = Sessions(self._settings, self.defaults, self._name)
                await sessions.open()
                self._sessions = sessions

    async def disconnect(self) -> None:
        sessions, self._sessions = self._sessions, None
        if sessions is not None:
            await sessions.close()

    async def test_connection(self) -> bool:
        try:
            await self.connect()
            async with self._reading() as connection:
                await connection.execute("SELECT 1")
        except DeepAnalyzeError as error:
            self.last_error = error
            return False
        self.last_error = None
        return True

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
            }

    async def list_items(self, path: str | None = None) -> list[DataItem]:
        """Schemas, or the relations of the schema `path` that the role may read."""
        async with self._reading() as connection:
            if not path:
                return await catalog.schemas(connection)
            return await catalog.relations(connection, parse_schema(path), self._name)

    async def iter_items(
        self, path: str | None = None, *, recursive: bool = False
    ) -> AsyncIterator[DataItem]:
        for item in await self.list_items(path):
            yield item
        if recursive and not path:
            async with self._reading() as connection:
                below = await catalog.relations(connection, None, self._name)
            for item in below:
                yield item

    async def get_metadata(self, identifier: str) -> dict[str, Any]:
        async with self._reading() as connection:
            return await catalog.describe(connection, identifier, self._name)

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

    async def query(self, sql: str, *, max_rows: int | None = None) -> pd.DataFrame:
        """The rows as a DataFrame whose `attrs["truncated"]` says whether there were more than `max_rows`."""
        from deepanalyze.datasources.connectors.postgresql.frame import read_frame

        limits = self.defaults.limits
        rows = limits.rows(max_rows, self._settings.max_rows)
        async with self._reading() as connection:
            statement = await self._checked(connection, sql)
            described = await self._described(connection, statement.text)
            text = statement.text
            if statement.kind == "select":
                text = limited_statement(text, described, rows)
            read = partial(
                read_frame, sql=text, columns=described, max_rows=rows, max_bytes=limits.max_result_bytes
            )
            return await self._in_thread(connection, read)

    async def export(
        self,
        destination: Path,
        *,
        query: str | None = None,
        table: str | None = None,
        format: FileFormat = "csv",
        max_rows: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> Exported:
        if (query is None) == (table is None):
            raise InvalidRequest("give exactly one of 'query' and 'table'", param="query")
        if format != "csv":
            raise NotSupported(f"source {self._name!r}: results are written as CSV only", param="format")
        limits = self.defaults.limits
        rows = limits.rows(max_rows, self._settings.max_rows)
        async with self._reading() as connection:
            if query is not None:
                statement = await self._checked(connection, query)
            else:
                statement = await self._table(connection, str(table))
            described = await self._described(connection, statement.text)
            columns = await catalog.columns(connection, described)
            write: Callable[..., tuple[int, int, bool]]
            if statement.kind == "select":
                write, text = write_copy, copy_statement(statement.text, described, rows)
            else:
                write, text = write_rows, statement.text
            run = partial(
                write,
                sql=text,
                head=header(described),
                destination=destination,
                max_rows=rows,
                max_bytes=limits.max_result_bytes,
                on_progress=on_progress,
            )
            written, size, truncated = await self._in_thread(connection, run)
        names = distinct_names([column.name for column in columns])
        return Exported(
            rows=written,
            bytes=size,
            truncated=truncated,
            columns=tuple(Column(name, column.type) for name, column in zip(names, columns, strict=True)),
            sql=statement.text.strip(),
        )

    async def _checked(self, connection: Connection, sql: str) -> Statement:
        """The statement, when parser and catalogue agree that it only reads."""
        statement = await asyncio.to_thread(read_only_statement, sql, self._name)
        if needs_look_up(statement):
            path = await (await connection.execute("SELECT pg_catalog.current_schemas(true)")).fetchone()
            async with connection.cursor(row_factory=class_row(Known)) as cursor:
                await cursor.execute(LOOK_UP, look_up_parameters(statement))
                known = await cursor.fetchall()
            judge(statement, known, path[0] if path else (), self._name)
        return statement

    async def _table(self, connection: Connection, path: str) -> Statement:
        relation = await catalog.resolve(connection, path, self._name)
        return Statement(f"SELECT * FROM {always_quoted(relation['schema'], relation['name'])}", "select")

    async def _described(self, connection: Connection, text: str) -> list[ColumnType]:
        described = await self._in_thread(connection, lambda wire: wire.describe(text))
        if not described:
            raise InvalidRequest(f"source {self._name!r}: the query gives no columns", param="query")
        return described

    async def _in_thread(self, connection: Connection, work: Callable[[Wire], T]) -> T:
        return await self._open_sessions().in_thread(connection, work)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        async with self._open_sessions().reading() as connection:
            yield connection

    def _open_sessions(self) -> Sessions:
        if self._sessions is None:
            raise SourceUnavailable(f"source {self._name!r}: it is not connected; call connect() first")
        return self._sessions


def _looks_like_sql(identifier: str) -> bool:
    """A relation's path holds no white space outside of quotes; a statement always does."""
    outside = "".join(identifier.split('"')[::2]).strip()
    return any(character.isspace() or character in "(;" for character in outside)
