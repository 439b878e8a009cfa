from __future__ import annotations

from pathlib import Path

from adbc_driver_postgresql import dbapi

from benchmarks.ways.arrow_writers import write
from benchmarks.ways.query import measure, uri

with dbapi.connect(uri()) as connection, connection.cursor() as cursor:

    def transfer(query: str, file: Path) -> None:
        cursor.execute(query)
        write(cursor.fetch_record_batch(), file)

    measure(transfer)
