"""Arrow batches to a file, as the peers that give batches need it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.ways.query import FORMAT


def write(batches: pa.RecordBatchReader, file: Path) -> None:
    if FORMAT == "parquet":
        compression = {"compression": "zstd", "compression_level": 1, "use_dictionary": False}
        with pq.ParquetWriter(file, batches.schema, **compression) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return
    plain = pa.schema([field.with_type(_plain(field.type)) for field in batches.schema])
    with pa.csv.CSVWriter(file, plain) as writer:
        for batch in batches:
            columns = [getattr(column, "storage", column) for column in batch.columns]
            writer.write_batch(pa.record_batch(columns, schema=plain))


def _plain(type_: pa.DataType) -> pa.DataType:
    """ADBC gives numerics as a type of its own, which holds texts."""
    return type_.storage_type if isinstance(type_, pa.BaseExtensionType) else type_
