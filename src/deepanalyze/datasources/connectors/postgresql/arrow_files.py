"""Rows as COPY's CSV writes them, converted chunk by chunk and written as Parquet or as an Arrow stream.

Imports pyarrow, which takes a while: for worker threads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from deepanalyze.datasources.connectors.postgresql.arrow_types import (
    Target,
    smallest_decimal,
    stored_as_text,
)
from deepanalyze.datasources.connectors.postgresql.arrow_values import Digits, Unfit
from deepanalyze.errors import InvalidRequest

BinaryFormat = Literal["parquet", "arrow"]

_IN_CSV = re.compile(r"^In CSV column #(\d+): ")
_VALUE = re.compile(r"'(.*)'", re.DOTALL)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def open_sink(file: IO[bytes]) -> Any:
    """A way into the file past Python, whose lock the thread that reads rows is busy with."""
    return pa.OSFile(f"/proc/self/fd/{file.fileno()}", "wb")


def open_writer(sink: Any, schema: pa.Schema, format: BinaryFormat) -> Any:
    """A context manager with `write_table` and `write_batch`, which leaves the sink open."""
    if format == "arrow":
        return pa.ipc.new_stream(sink, schema)
    coded = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=coded or False,
        store_decimal_as_integer=True,
    )


def open_scratch(sink: Any, schema: pa.Schema) -> Any:
    """The same, for what `batches` will read."""
    return pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))


class Converter:
    """Takes chunks of complete rows, in one thread at a time, and writes each as a row group or record batch."""

    def __init__(self, writer: Any, targets: Sequence[Target], format: BinaryFormat) -> None:
        self._targets = targets
        self._format = format
        self._schema = pa.schema([target.field for target in targets])
        self._writer = writer
        self.digits: Mapping[int, Digits] = {n: Digits() for n, target in enumerate(targets) if target.loose}
        names = [str(number) for number in range(len(targets))]
        self._parsing = pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
        self._names = names
        self._converting = pa.csv.ConvertOptions(
            column_types={name: target.parsed for name, target in zip(names, targets, strict=True)},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        )

    def convert(self, rows: bytes) -> None:
        table = self._parsed(rows)
        columns = [
            self._finished(number, table.column(number).combine_chunks())
            for number in range(table.num_columns)
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def _parsed(self, rows: bytes) -> pa.Table:
        if rows.startswith(_BYTE_ORDER_MARK):
            rows = _BYTE_ORDER_MARK + rows  # the reader drops one, as if it were a file's own and no value's
        reading = pa.csv.ReadOptions(column_names=self._names, use_threads=False, block_size=len(rows) + 1)
        try:
            return pa.csv.read_csv(
                pa.BufferReader(rows),
                read_options=reading,
                parse_options=self._parsing,
                convert_options=self._converting,
            )
        except pa.ArrowInvalid as error:
            found = _IN_CSV.match(str(error))
            if found is None:
                raise
            raise self._unfit(int(found[1]), error) from None

    def _finished(self, number: int, column: pa.Array) -> pa.Array:
        if (digits := self.digits.get(number)) is not None:
            digits.see(column)
        finish = self._targets[number].finish
        if finish is None:
            return column
        try:
            return finish(column)
        except (pa.ArrowInvalid, Unfit) as error:
            raise self._unfit(number, error) from None

    def _unfit(self, number: int, error: Exception) -> InvalidRequest:
        field = self._targets[number].field
        told = field.metadata[b"postgresql_type"].decode()
        if isinstance(error, Unfit):
            value = str(error)
        else:
            found = _VALUE.search(str(error))
            value = found[1] if found else ""
        holds = f"holds {value[:100]!r}, which" if value else "holds a value that"
        name = {"parquet": "a Parquet file", "arrow": "an Arrow stream"}[self._format]
        return InvalidRequest(
            f"column {field.name!r} ({told}) {holds} {name} cannot keep as {field.type}; "
            "cast the column to text, or choose csv",
            param="format",
        )


def fitted_schema(
    targets: Sequence[Target], digits: Mapping[int, Digits], metadata: Mapping[str, str]
) -> pa.Schema:
    """With the types that loose columns can have after all their values have been seen."""
    fields = [target.field for target in targets]
    for number, seen in digits.items():
        type_ = smallest_decimal(seen.whole + seen.scale, seen.scale)
        if seen.special:
            fields[number] = stored_as_text(
                fields[number], "holds NaN or Infinity, which no decimal type knows"
            )
        elif type_ is None:
            fields[number] = stored_as_text(fields[number], "holds more digits than any decimal type")
        else:
            fields[number] = fields[number].with_type(type_)
    return pa.schema(fields, metadata=dict(metadata))


def batches(scratch: IO[bytes], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """What `open_scratch` took, with the schema's types."""
    with pa.ipc.open_stream(scratch) as reader:
        for batch in reader:
            columns = [column.cast(field.type) for column, field in zip(batch.columns, schema, strict=True)]
            yield pa.record_batch(columns, schema=schema)
