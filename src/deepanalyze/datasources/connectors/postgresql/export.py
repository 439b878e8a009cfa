"""A result as a CSV file: by COPY, whose rows are written as the server sends them."""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from deepanalyze.datasources.base import OnProgress, Progress
from deepanalyze.datasources.connectors.postgresql.identifiers import distinct_names
from deepanalyze.datasources.connectors.postgresql.wire import Wire
from deepanalyze.datasources.files import new_file
from deepanalyze.datasources.progress import ProgressThrottle
from deepanalyze.errors import ResultTooLarge

BOOL_OID = 16

ColumnType = tuple[str, int, int]  # name, type, type modifier


def copy_statement(text: str, columns: Sequence[ColumnType], max_rows: int) -> str:
    """COPY of at most one row more than allowed, which tells that there were more.

    Columns are renamed by position, so that equal names do no harm; booleans are cast, because COPY writes `t` and
    `f`. The text stands on lines of its own: it may end in a comment.
    """
    aliases = [f"c{number}" for number in range(len(columns))]
    chosen = [
        f"{alias}::pg_catalog.text" if column[1] == BOOL_OID else alias
        for alias, column in zip(aliases, columns, strict=True)
    ]
    return (
        f"COPY (SELECT {', '.join(chosen)} FROM (\n{text}\n) AS q ({', '.join(aliases)}) LIMIT {max_rows + 1}) "
        "TO STDOUT (FORMAT csv)"
    )


def limited_statement(text: str, columns: Sequence[ColumnType], max_rows: int) -> str:
    """The same as a plain query."""
    aliases = ", ".join(f"c{number}" for number in range(len(columns)))
    return f"SELECT * FROM (\n{text}\n) AS q ({aliases}) LIMIT {max_rows + 1}"


def write_csv(
    wire: Wire,
    text: str,
    columns: Sequence[ColumnType],
    destination: Path,
    *,
    shown: bool = False,
    max_rows: int,
    max_bytes: int,
    on_progress: OnProgress | None,
) -> tuple[int, int, bool]:
    """Rows and bytes written, and whether there were more rows.

    Args:
        shown: for what COPY cannot run: EXPLAIN and SHOW, whose results are small.
    """
    with new_file(destination) as file:
        sink = _Sink(file, max_bytes, on_progress)
        sink.write(_csv_line(distinct_names([name for name, _, _ in columns])))
        if shown:
            rows, truncated = _write_shown(wire, text, max_rows, sink)
        else:
            rows, truncated = wire.copy_out(copy_statement(text, columns, max_rows), max_rows, sink.take)
        sink.finish(rows)
        return rows, sink.size, truncated


def _write_shown(wire: Wire, text: str, max_rows: int, sink: _Sink) -> tuple[int, bool]:
    rows = 0
    truncated = False
    for result in wire.rows(text):
        for index in range(result.ntuples):
            if rows == max_rows:
                truncated = True
                break
            values = [result.get_value(index, column) for column in range(result.nfields)]
            sink.write(_csv_line([None if value is None else bytes(value).decode() for value in values]))
            rows += 1
        sink.check(rows)
    return rows, truncated


def _csv_line(values: Sequence[str | None]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n", quoting=csv.QUOTE_MINIMAL).writerow(values)
    return line.getvalue().encode()


class _Sink:
    """Counts and limits what is written to the file, also by others."""

    def __init__(self, file: BinaryIO, max_bytes: int, on_progress: OnProgress | None) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._progress = ProgressThrottle(on_progress)

    @property
    def size(self) -> int:
        return self._file.tell()

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def take(self, data: bytes, rows: int) -> None:
        self._file.write(data)
        self.check(rows)

    def check(self, rows: int) -> None:
        size = self._file.tell()
        if size > self._max_bytes:
            raise ResultTooLarge(
                f"the result has more than {self._max_bytes} bytes (max_result_bytes); choose fewer columns or rows"
            )
        self._progress.report(Progress(bytes=size, rows=rows))

    def finish(self, rows: int) -> None:
        self.check(rows)
        self._progress.finish(Progress(bytes=self._file.tell(), rows=rows))
