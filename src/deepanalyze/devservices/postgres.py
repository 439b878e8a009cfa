"""An embedded PostgreSQL server and its least-privilege analyst role."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from deepanalyze.devservices.cluster import run_cluster
from deepanalyze.devservices.process import GuardedProcess
from deepanalyze.devservices.starting import HOST
from deepanalyze.devservices.state import Directory

SUPERUSER = "postgres"
ANALYST = "analyst"
ANALYST_SETUP: tuple[LiteralString, ...] = (
    "CREATE ROLE {analyst} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {password}",
    "ALTER ROLE {analyst} SET default_transaction_read_only = on",
    "REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC",
    # Anyone may make large objects unless these are closed; they are the one thing that needs no grant.
    "REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC",
    "REVOKE ALL ON SCHEMA public FROM PUBLIC",
    "GRANT USAGE ON SCHEMA public TO {analyst}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {analyst}",
)


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server. `process.pid` is the postmaster's."""

    host: str
    port: int
    superuser: str
    superuser_password: str = field(repr=False)
    analyst: str
    analyst_password: str = field(repr=False)
    process: GuardedProcess = field(repr=False)

    def dsn(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """A connection string; without a user it is the superuser's."""
        return make_conninfo(
            host=self.host,
            port=self.port,
            dbname=database,
            user=user or self.superuser,
            password=password if user else self.superuser_password,
            sslmode="disable",
            connect_timeout=10,
        )

    def uri(self, database: str, user: str | None = None, password: str | None = None) -> str:
        """The same as a URI, for people to copy. Our own passwords need no escaping in it."""
        login = f"{user}:{password}" if user else f"{self.superuser}:{self.superuser_password}"
        return f"postgresql://{login}@{self.host}:{self.port}/{database}"

    def analyst_dsn(self, database: str) -> str:
        return self.dsn(database, self.analyst, self.analyst_password)

    def analyst_config(self, database: str) -> dict[str, str | int]:
        """What a `postgresql` data source needs to read `database`."""
        return {
            "host": self.host,
            "port": self.port,
            "database": database,
            "user": self.analyst,
            "password": self.analyst_password,
        }

    async def create_database(self, name: str) -> None:
        """A database that the analyst may read: every table that the superuser makes in `public`, and nothing else.

        A second call does nothing.
        """
        async with await psycopg.AsyncConnection.connect(self.dsn(), autocommit=True) as connection:
            found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if not await found.fetchone():
                await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            for statement in (
                "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
                "GRANT CONNECT ON DATABASE {database} TO {analyst}",
            ):
                await connection.execute(_formatted(statement, database=name))

    async def drop_database(self, name: str) -> None:
        async with await psycopg.AsyncConnection.connect(self.dsn(), autocommit=True) as connection:
            await connection.execute(
                _formatted("DROP DATABASE IF EXISTS {database} WITH (FORCE)", database=name)
            )


@asynccontextmanager
async def open_postgres(directory: Directory, *, durable: bool = True) -> AsyncIterator[PostgresServer]:
    """Starts the server, making its data directory the first time, and stops it at the end.

    Args:
        durable: False spares the disk and may lose everything when the machine stops: for tests.
    """
    async with run_cluster(directory, SUPERUSER, durable=durable) as (process, port):
        state = directory.state
        server = PostgresServer(
            host=HOST,
            port=port,
            superuser=SUPERUSER,
            superuser_password=state.superuser_password,
            analyst=ANALYST,
            analyst_password=state.analyst_password,
            process=process,
        )
        await _set_up_analyst(server)
        yield server


async def _set_up_analyst(server: PostgresServer) -> None:
    """Idempotent. What is set in template1 holds in every database made later."""
    async with await psycopg.AsyncConnection.connect(server.dsn("template1")) as connection:
        found = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [server.analyst])
        if await found.fetchone():
            return
        for statement in ANALYST_SETUP:
            await connection.execute(_formatted(statement, password=server.analyst_password))


def _formatted(statement: LiteralString, *, database: str = "", password: str = "") -> sql.Composed:
    return sql.SQL(statement).format(
        database=sql.Identifier(database), analyst=sql.Identifier(ANALYST), password=sql.Literal(password)
    )
