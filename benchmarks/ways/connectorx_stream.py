from __future__ import annotations

from pathlib import Path

import connectorx

from benchmarks.ways.arrow_writers import write
from benchmarks.ways.query import measure, uri


def transfer(query: str, file: Path) -> None:
    """It connects anew each time: it cannot do otherwise."""
    write(connectorx.read_sql(uri(), query, return_type="arrow_stream", batch_size=50_000), file)


measure(transfer)
