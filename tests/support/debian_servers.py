"""Debian's PostgreSQL with contrib and TLS, and PgBouncer before any server."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from deepanalyze.devservices.cluster import ENVIRONMENT, NOT_DURABLE, SETTINGS
from deepanalyze.devservices.postgres import ANALYST, SUPERUSER, PostgresServer, _set_up_analyst
from deepanalyze.devservices.process import Command, start_guarded
from deepanalyze.devservices.reachable import service_user
from deepanalyze.devservices.starting import HOST, Service, start_service
from tests.support.debian import Programs
from tests.support.services import PostgresDatabase
from tests.support.tls import Authority

BY_CERTIFICATE = "certified"  # a role that is known by its certificate alone
ONLY_TLS = "careful"  # a role that the server lets in over TLS only; its password is its name
_ACCESS_RULES = f"""
local all all scram-sha-256
hostssl all {BY_CERTIFICATE} {HOST}/32 cert
hostnossl all {ONLY_TLS} {HOST}/32 reject
host all all {HOST}/32 scram-sha-256
"""
_MORE_SETTINGS = {
    "unix_socket_directories": ".",
    "shared_preload_libraries": "pg_stat_statements",
    "ssl": "on",
    "ssl_cert_file": "server.crt",
    "ssl_key_file": "server.key",
    "ssl_ca_file": "root.crt",
}
_BOUNCER = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = {listen_host}
listen_port = {listen_port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = users.txt
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 200
"""


@dataclass(frozen=True, slots=True)
class DebianServer:
    """`authority` signed the server's certificate, for `localhost` and no address, and is trusted for clients'."""

    server: PostgresServer
    socket_dir: Path
    authority: Authority = field(repr=False)


@asynccontextmanager
async def run_debian_postgresql(programs: Programs) -> AsyncIterator[DebianServer]:
    """In a directory that the server's user reaches by its path: before release 16 its programs leave the one that they
    were started in, to look where they are.
    """
    with tempfile.TemporaryDirectory(prefix="deepanalyze-debian-") as made:
        Path(made).chmod(0o711)
        async with _run_in(Path(made), programs) as server:
            yield server


@asynccontextmanager
async def _run_in(path: Path, programs: Programs) -> AsyncIterator[DebianServer]:
    authority, password = Authority(), secrets.token_urlsafe(16)
    data = path / "data"
    _own_directory(data)
    await _initialize(path, programs, password)
    (data / "pg_hba.conf").write_text(_ACCESS_RULES)
    authority.sign("server", "localhost").write(data, "server")
    (data / "root.crt").write_text(authority.certificate)
    _give(data / "server.crt", data / "server.key", data / "root.crt")
    dsn = partial(_dsn, user=SUPERUSER, password=password, database="postgres")
    service = Service(
        "Debian's PostgreSQL",
        partial(_postgres, path, programs),
        lambda port: _answers(dsn(port)),
        "Address already in use",
    )
    process, port = await start_service(service, None)
    try:
        server = PostgresServer(
            HOST, port, SUPERUSER, password, ANALYST, secrets.token_urlsafe(16), process
        )  # fmt: skip
        await _set_up_analyst(server)
        yield DebianServer(server, data, authority)
    finally:
        await process.stop()


@asynccontextmanager
async def run_pgbouncer(
    path: Path, programs: Programs, database: PostgresDatabase, *, pool_size: int = 2
) -> AsyncIterator[PostgresDatabase]:
    """Yields `database` as it is reached through a PgBouncer in transaction mode."""
    if programs.pgbouncer is None:
        raise FileNotFoundError("pgbouncer")
    _own_directory(path)
    logins = [psycopg.conninfo.conninfo_to_dict(dsn) for dsn in (database.admin_dsn, database.analyst_dsn)]
    target = logins[0]
    (path / "users.txt").write_text("".join(f'"{u["user"]}" "{u["password"]}"\n' for u in logins))
    _give(path / "users.txt")

    def command(port: int) -> Command:
        text = _BOUNCER.format(
            host=target["host"], port=target["port"], listen_host=HOST, listen_port=port, pool_size=pool_size
        )
        (path / "pgbouncer.ini").write_text(text)
        _give(path / "pgbouncer.ini")
        arguments = [str(programs.pgbouncer), "pgbouncer.ini"]
        return _command("PgBouncer", arguments, path, path.with_suffix(".log"), programs, signal.SIGINT)

    def through(dsn: str, port: int) -> str:
        return make_conninfo(dsn, host=HOST, port=port)

    service = Service(
        "PgBouncer", command, lambda port: _answers(through(database.admin_dsn, port)), "already in use"
    )
    process, port = await start_service(service, None)
    try:
        yield PostgresDatabase(
            database.name,
            through(database.admin_dsn, port),
            through(database.analyst_dsn, port),
            {**database.analyst_config, "port": port},
        )
    finally:
        await process.stop()


async def _initialize(path: Path, programs: Programs, password: str) -> None:
    (path / "password").write_text(password)
    descriptor = os.open(path / "password", os.O_RDONLY)
    try:
        _give(path / "password")
        arguments = [
            str(programs.postgresql / "initdb"),
            *(
                "-D",
                str(path / "data"),
                "-U",
                SUPERUSER,
                f"--pwfile=/proc/self/fd/{descriptor}",
                "--auth=scram-sha-256",
            ),
            *("--encoding=UTF8", "--locale=C", "--no-instructions", "--no-sync"),
        ]
        log = path / "initdb.log"
        process = await start_guarded(
            _command("initdb", arguments, path / "data", log, programs, signal.SIGTERM, (descriptor,))
        )
        try:
            assert await process.wait() == 0, process.log_tail()
        finally:
            await process.stop()
    finally:
        os.close(descriptor)


def _postgres(path: Path, programs: Programs, port: int) -> Command:
    settings = SETTINGS | NOT_DURABLE | _MORE_SETTINGS
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    arguments = [str(programs.postgresql / "postgres"), "-D", str(path / "data"), "-p", str(port), *options]
    return _command("PostgreSQL", arguments, path / "data", path / "postgres.log", programs, signal.SIGINT)


def _command(
    name: str,
    arguments: list[str],
    directory: Path,
    log: Path,
    programs: Programs,
    stop_signal: signal.Signals,
    keep_fds: tuple[int, ...] = (),
) -> Command:
    more = {"LD_LIBRARY_PATH": programs.libraries} if programs.libraries else {}
    return Command(
        name,
        arguments,
        directory=directory,
        log=log,
        environment={**ENVIRONMENT, **more},
        keep_fds=keep_fds,
        user=service_user(),
        stop_signal=stop_signal,
    )


def _own_directory(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True)
    _give(path)


def _give(*paths: Path) -> None:
    """To whoever runs the servers."""
    if user := service_user():
        for path in paths:
            os.chown(path, user.uid, user.gid)


def _dsn(port: int, *, user: str, password: str, database: str) -> str:
    return make_conninfo(
        host=HOST, port=port, user=user, password=password, dbname=database, sslmode="disable", connect_timeout=5
    )  # fmt: skip


async def _answers(dsn: str) -> bool:
    try:
        connection = await psycopg.AsyncConnection.connect(dsn)
    except psycopg.OperationalError:
        return False
    await connection.close()
    return True
