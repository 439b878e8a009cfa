"""The loop that libpq's documentation shows, blocking, by way of psycopg."""

from __future__ import annotations

from pathlib import Path

import psycopg

from benchmarks.ways.query import DSN, measure

with psycopg.connect(DSN) as connection:

    def transfer(query: str, file: Path) -> None:
        pgconn = connection.pgconn
        pgconn.exec_(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)".encode())
        with file.open("wb") as opened:
            while True:
                length, row = pgconn.get_copy_data(0)
                if length < 0:
                    break
                opened.write(row)
        while pgconn.get_result() is not None:
            pass

    measure(transfer)
