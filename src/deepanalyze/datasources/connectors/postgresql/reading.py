"""One statement, from its text to a file, a frame or plain values: checked, limited, and run on a lent connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from deepanalyze.datasources.base import Column, OnProgress
from deepanalyze.datasources.capabilities import Exported, FileFormat, Table
from deepanalyze.datasources.connectors.postgresql import catalog
from deepanalyze.datasources.connectors.postgresql.binding import bound, check_count, placeholders
from deepanalyze.datasources.connectors.postgresql.config import PostgresConfig
from deepanalyze.datasources.connectors.postgresql.costs import check_cost
from deepanalyze.datasources.connectors.postgresql.dtypes import pandas_dtype
from deepanalyze.datasources.connectors.postgresql.errors import mapped
from deepanalyze.datasources.connectors.postgresql.export import (
    ColumnType,
    limited_statement,
    write_csv,
)
from deepanalyze.datasources.connectors.postgresql.guard import Statement
from deepanalyze.datasources.connectors.postgresql.identifiers import distinct_names
from deepanalyze.datasources.connectors.postgresql.lease import Lease
from deepanalyze.datasources.connectors.postgresql.scope import Scope
from deepanalyze.datasources.connectors.postgresql.session import Sessions
from deepanalyze.datasources.connectors.postgresql.verdicts import Guard
from deepanalyze.datasources.connectors.postgresql.wire import Drained, Wire
from deepanalyze.datasources.limits import Limits
from deepanalyze.errors import InvalidRequest

if TYPE_CHECKING:
    import pandas as pd

_ROWS_BYTES = 64 * 1024**2  # of rows that are held in memory, and once more as JSON
Written = tuple[int, int, bool]  # rows, bytes, whether there were more rows


class Reader:
    """Made anew for each use; holds nothing of its own."""

    def __init__(
        self, config: PostgresConfig, limits: Limits, sessions: Sessions, guard: Guard, source: str
    ) -> None:
        self._config = config
        self._limits = limits
        self._sessions = sessions
        self._guard = guard
        self._source = source
        self._max_bytes = min(config.max_bytes or limits.max_result_bytes, limits.max_result_bytes)
        self._rows_bytes = min(self._max_bytes, _ROWS_BYTES)

    async def frame(
        self, sql: str, params: Sequence[Any], max_rows: int | None, timeout_s: float | None
    ) -> pd.DataFrame:
        from deepanalyze.datasources.connectors.postgresql.frame import read_frame

        rows = self._rows(max_rows)

        async def work(lease: Lease) -> pd.DataFrame:
            statement, columns = await self._prepared(lease, sql, params)
            read = partial(
                read_frame,
                sql=_limited(statement, columns, rows),
                columns=columns,
                max_rows=rows,
                max_bytes=self._max_bytes,
            )
            return await lease.in_thread(lambda wire: read(self._affordable(wire, statement)))

        return await self._sessions.run(work, timeout_s)

    async def rows(
        self,
        sql: str,
        params: Sequence[Any],
        max_rows: int | None,
        timeout_s: float | None,
        *,
        may_write: bool,
    ) -> Table:
        """A statement that writes is committed, and then its rows, if it gives any, are handed back."""
        rows = self._rows(max_rows)
        may_write = may_write and not self._config.read_only
        if may_write and await self._guard.writes(sql):
            async with self._sessions.writing(timeout_s) as lease:
                return await self._written(lease, sql, params, rows)
        return await self._sessions.run(lambda lease: self._read(lease, sql, params, rows), timeout_s)

    async def _written(self, lease: Lease, sql: str, params: Sequence[Any], max_rows: int) -> Table:
        from deepanalyze.datasources.connectors.postgresql.values import json_values, read_array_types

        statement, columns = await self._prepared(lease, sql, params, may_write=True)

        def write(wire: Wire) -> tuple[list[list[Any]], bool, int]:
            arrays = read_array_types(wire, columns)
            results = Drained(self._affordable(wire, statement).rows(statement.text))
            values, truncated = json_values(columns, results, max_rows, self._rows_bytes, arrays=arrays)
            return values, truncated, results.rows_affected()

        values, truncated, affected = await lease.in_thread(write)
        return Table(await self._named(lease, columns), values, truncated, rows_affected=affected)

    async def _read(self, lease: Lease, sql: str, params: Sequence[Any], max_rows: int) -> Table:
        from deepanalyze.datasources.connectors.postgresql.values import json_values, read_array_types

        statement, columns = await self._prepared(lease, sql, params)
        text = _limited(statement, columns, max_rows)

        def read(wire: Wire) -> tuple[list[list[Any]], bool]:
            arrays = read_array_types(wire, columns)
            results = self._affordable(wire, statement).rows(text)
            return json_values(columns, results, max_rows, self._rows_bytes, arrays=arrays)

        values, truncated = await lease.in_thread(read)
        return Table(await self._named(lease, columns), values, truncated)

    async def export(
        self,
        destination: Path,
        *,
        query: str | None,
        table: str | None,
        params: Sequence[Any],
        format: FileFormat,
        max_rows: int | None,
        timeout_s: float | None,
        on_progress: OnProgress | None,
    ) -> Exported:
        rows = self._rows(max_rows)

        async def work(lease: Lease) -> Exported:
            started_at = time.time()
            if query is not None:
                statement, columns = await self._prepared(lease, query, params)
            else:
                statement, columns = await self._table(lease, str(table))
            write = self._writer(statement, columns, format)
            run = partial(
                write,
                destination=destination,
                max_rows=rows,
                max_bytes=self._max_bytes,
                on_progress=on_progress,
            )
            named = await self._named(lease, columns)
            written, size, truncated = await lease.in_thread(
                lambda wire: run(self._affordable(wire, statement))
            )
            return Exported(
                rows=written,
                bytes=size,
                truncated=truncated,
                columns=named,
                sql=statement.text.strip(),
                params=tuple(params),
                started_at=started_at,
                snapshot_at=lease.snapshot_at,
                server_version=lease.server_version,
            )

        return await self._sessions.run(work, timeout_s)

    def _rows(self, wanted: int | None) -> int:
        return self._limits.rows(wanted, self._config.max_rows)

    def _affordable(self, wire: Wire, statement: Statement) -> Wire:
        limit = self._config.statement_cost_limit
        if limit is not None and statement.kind in ("select", "write"):
            check_cost(wire, statement.text, limit, self._source)
        if limit is not None and statement.analyzes:
            raise InvalidRequest(
                f"source {self._source!r}: EXPLAIN ANALYZE runs the query, whose cost is limited here "
                "(statement_cost_limit); use EXPLAIN without ANALYZE",
                param="query",
            )
        return wire

    def _writer(
        self, statement: Statement, columns: Sequence[ColumnType], format: FileFormat
    ) -> Callable[..., Written]:
        write: Callable[..., Written] = write_csv
        if format != "csv":
            from deepanalyze.datasources.connectors.postgresql.parquet import write_parquet

            facts = {"source": self._source, "sql": statement.text.strip()}
            write = partial(write_parquet, format=format, metadata=facts)
        return partial(write, text=statement.text, columns=columns, shown=statement.kind != "select")

    async def _prepared(
        self, lease: Lease, sql: str, params: Sequence[Any], *, may_write: bool = False
    ) -> tuple[Statement, list[ColumnType]]:
        """The statement with its parameters in it, once the guard, the server and the count agree."""
        statement = await self._check(lease, sql, may_write=may_write)
        found = placeholders(statement.text) if params or "$" in statement.text else []
        check_count(found, params, self._source)
        if found:
            types = await self._parameter_types(lease, statement)
            text = bound(statement.text, found, params, types, lease.connection)
            statement = await self._check(lease, text, may_write=may_write)
        return statement, await self._described(lease, statement, None if found else statement.offset)

    async def _check(self, lease: Lease, sql: str, *, may_write: bool) -> Statement:
        return await self._guard.check(
            lease.look_up, sql, lease.search_path, snapshot=lease.snapshot, may_write=may_write
        )

    async def _parameter_types(self, lease: Lease, statement: Statement) -> list[str]:
        with self._positions(statement.offset):
            oids = await lease.in_thread(lambda wire: wire.parameter_types(statement.text))
        named = await catalog.columns(lease.connection, [("", oid, -1) for oid in oids])
        return [column.type for column in named]

    async def _table(self, lease: Lease, path: str) -> tuple[Statement, list[ColumnType]]:
        scope = Scope.of(self._config, lease.connection, self._source)
        relation = await lease.in_thread(partial(catalog.resolve, path=path, scope=scope))
        statement = Statement(relation.select(), "select")
        return statement, await self._described(lease, statement)

    async def _described(
        self, lease: Lease, statement: Statement, offset: int | None = None
    ) -> list[ColumnType]:
        with self._positions(offset):
            columns = await lease.in_thread(lambda wire: wire.describe(statement.text))
        if not columns and statement.kind != "write":
            raise InvalidRequest(f"source {self._source!r}: the query gives no columns", param="query")
        return columns

    @contextmanager
    def _positions(self, offset: int | None) -> Iterator[None]:
        """Tells where in the user's own text an error lies. Errors with a position are never worth another try."""
        try:
            yield
        except psycopg.Error as error:
            if error.diag.statement_position is None:
                raise
            raise mapped(error, self._source, offset=offset) from error

    async def _named(self, lease: Lease, columns: Sequence[ColumnType]) -> tuple[Column, ...]:
        names = distinct_names([name for name, _, _ in columns])
        types = await catalog.columns(lease.connection, columns)
        return tuple(
            Column(name, told.type, pandas_dtype(oid))
            for name, told, (_, oid, _) in zip(names, types, columns, strict=True)
        )


def _limited(statement: Statement, columns: Sequence[ColumnType], rows: int) -> str:
    if statement.kind != "select":
        return statement.text
    return limited_statement(statement.text, columns, rows)
