"""A result as a Parquet file or an Arrow stream: COPY's rows, converted beside their reading."""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from deepanalyze.datasources.base import OnProgress, Progress
from deepanalyze.datasources.connectors.postgresql.dtypes import BYTEA, TIMESTAMPTZ
from deepanalyze.datasources.connectors.postgresql.export import ColumnType
from deepanalyze.datasources.connectors.postgresql.wire import Wire
from deepanalyze.datasources.files import new_file
from deepanalyze.datasources.progress import ProgressThrottle
from deepanalyze.errors import ResultTooLarge

if TYPE_CHECKING:
    from psycopg.abc import Buffer

    from deepanalyze.datasources.connectors.postgresql.arrow_files import BinaryFormat, Converter
    from deepanalyze.datasources.connectors.postgresql.arrow_types import Target

# Each chunk is twice as large as the one before, up to the limit: small results profit from two threads too.
FIRST_CHUNK_BYTES = 512 * 1024
CHUNK_BYTES = 4 * 1024**2
_WAITING = 2

Take = Callable[[bytes, int], object]
Feed = Callable[[Take], tuple[int, bool]]
"""Gives rows and whether there were more; calls `take` with complete rows and the number of rows so far."""

# What the server writes in place of the type's own text: times without the session's zone, bytes without a prefix.
_EXPRESSIONS = {TIMESTAMPTZ: "{} AT TIME ZONE 'UTC'", BYTEA: "pg_catalog.encode({}, 'hex')"}


def parquet_statement(text: str, columns: Sequence[ColumnType], max_rows: int) -> str:
    """As `copy_statement`, but with each type in the form that the converter reads."""
    aliases = [f"c{number}" for number in range(len(columns))]
    chosen = [
        _EXPRESSIONS.get(oid, "{}").format(alias) for alias, (_, oid, _) in zip(aliases, columns, strict=True)
    ]
    return (
        f"COPY (SELECT {', '.join(chosen)} FROM (\n{text}\n) AS q ({', '.join(aliases)}) LIMIT {max_rows + 1}) "
        "TO STDOUT (FORMAT csv)"
    )


def write_parquet(
    wire: Wire,
    text: str,
    columns: Sequence[ColumnType],
    destination: Path,
    *,
    shown: bool = False,
    max_rows: int,
    max_bytes: int,
    on_progress: OnProgress | None,
    format: BinaryFormat = "parquet",
    metadata: Mapping[str, str] | None = None,
) -> tuple[int, int, bool]:
    """Rows and bytes written, and whether there were more rows.

    Args:
        shown: for what COPY cannot run: EXPLAIN and SHOW, whose results are small, and texts.
        max_bytes: bounds what the server sends, and the file.
        metadata: becomes the schema's.
    """
    from deepanalyze.datasources.connectors.postgresql.arrow_types import read_targets, text_targets

    feed: Feed
    if shown:
        targets, feed = text_targets(columns), partial(_feed_shown, wire, text, max_rows)
    else:
        targets = read_targets(wire, columns)
        feed = partial(wire.copy_out, parquet_statement(text, columns, max_rows), max_rows)
    result = _Result(format, metadata or {}, max_bytes, ProgressThrottle(on_progress))
    return result.write(wire, feed, targets, destination)


def _feed_shown(wire: Wire, text: str, max_rows: int, take: Take) -> tuple[int, bool]:
    rows = 0
    for result in wire.rows(text):
        for index in range(result.ntuples):
            if rows < max_rows:
                values = [result.get_value(index, column) for column in range(result.nfields)]
                take(b",".join(map(_csv_value, values)) + b"\n", rows + 1)
            rows += 1
    return min(rows, max_rows), rows > max_rows


def _csv_value(value: Buffer | None) -> bytes:
    return b"" if value is None else b'"' + bytes(value).replace(b'"', b'""') + b'"'


@dataclass(slots=True)
class _Result:
    """One file in the making."""

    format: BinaryFormat
    metadata: Mapping[str, str]
    max_bytes: int
    progress: ProgressThrottle
    written: int = 0  # bytes of the file; told to the thread that reads by the one that converts

    def write(
        self, wire: Wire, feed: Feed, targets: Sequence[Target], destination: Path
    ) -> tuple[int, int, bool]:
        from deepanalyze.datasources.connectors.postgresql import arrow_files

        with new_file(destination) as file, arrow_files.open_sink(file) as sink:
            if any(target.loose for target in targets):
                rows, truncated = self._write_twice(wire, feed, targets, destination.parent, sink)
            else:
                schema = arrow_files.fitted_schema(targets, {}, self.metadata)
                with arrow_files.open_writer(sink, schema, self.format) as writer:
                    converter = arrow_files.Converter(writer, targets, self.format)
                    rows, truncated = self._convert(feed, converter, sink.tell)
            size = sink.tell()
            self._bound(size)
            self.progress.finish(Progress(bytes=size, rows=rows))
        return rows, size, truncated

    def _write_twice(
        self, wire: Wire, feed: Feed, targets: Sequence[Target], directory: Path, sink: Any
    ) -> tuple[int, bool]:
        """Numerics without declared digits are texts at first, in a nameless file; when all have been seen, they become
        decimals that hold every one of them, or stay texts.
        """
        from deepanalyze.datasources.connectors.postgresql import arrow_files

        with tempfile.TemporaryFile(dir=directory) as scratch:
            schema = arrow_files.fitted_schema(targets, {}, {})
            with arrow_files.open_sink(scratch) as first, arrow_files.open_scratch(first, schema) as writer:
                converter = arrow_files.Converter(writer, targets, self.format)
                rows, truncated = self._convert(feed, converter, first.tell)
            schema = arrow_files.fitted_schema(targets, converter.digits, self.metadata)
            with arrow_files.open_writer(sink, schema, self.format) as writer:
                for batch in arrow_files.batches(scratch, schema):
                    wire.describe("SELECT 1")  # lest the server end the session as idle; raises Interrupted
                    writer.write_batch(batch)
                    self._bound(sink.tell())
        return rows, truncated

    def _convert(self, feed: Feed, converter: Converter, size: Callable[[], int]) -> tuple[int, bool]:
        received = 0

        def convert(chunk: bytes) -> None:
            converter.convert(chunk)
            self.written = size()
            self._bound(self.written)

        def take(data: bytes, rows: int) -> None:
            nonlocal received
            received += len(data)
            self._bound(received)
            chunks.write(data)
            self.progress.report(Progress(bytes=self.written, rows=rows))

        with _Chunks(convert) as chunks:
            rows, truncated = feed(take)
            chunks.finish()
        return rows, truncated

    def _bound(self, size: int) -> None:
        if size > self.max_bytes:
            raise ResultTooLarge(
                f"the result has more than {self.max_bytes} bytes (max_result_bytes); choose fewer columns or rows"
            )


class _Chunks:
    """Gathers rows until they are worth converting, which a thread of its own does while the next ones are read.

    At most `_WAITING` chunks wait for it. What it raises comes out of `write` and `finish`.
    """

    def __init__(self, convert: Callable[[bytes], None]) -> None:
        self._convert = convert
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="arrow")
        self._running: deque[Future[None]] = deque()
        self._gathered: list[bytes] = []
        self._size = 0
        self._enough = FIRST_CHUNK_BYTES

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def write(self, rows: bytes) -> None:
        self._gathered.append(rows)
        self._size += len(rows)
        if self._size >= self._enough:
            self._pass_on()
        while self._running and self._running[0].done():
            self._running.popleft().result()

    def finish(self) -> None:
        if self._size:
            self._pass_on()
        while self._running:
            self._running.popleft().result()

    def _pass_on(self) -> None:
        if len(self._running) >= _WAITING:
            self._running.popleft().result()
        self._running.append(self._thread.submit(self._convert, b"".join(self._gathered)))
        self._gathered.clear()
        self._size = 0
        self._enough = min(self._enough * 2, CHUNK_BYTES)
