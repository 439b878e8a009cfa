"""The services directory: locks, passwords, and what is told when something is wrong with it."""

from __future__ import annotations

import os
import socket
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from deepanalyze.devservices.process import Command
from deepanalyze.devservices.reachable import open_to_everyone, shared_copy
from deepanalyze.devservices.starting import HOST, Service, free_port, start_service
from deepanalyze.devservices.state import open_directory
from deepanalyze.errors import StartupError

LISTEN = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""


async def test_passwords_are_made_once_and_readable_by_us_alone(tmp_path: Path) -> None:
    async with open_directory(tmp_path / "services") as directory:
        first = directory.state
        directory.state.postgres_port = 5
        directory.save()
    async with open_directory(tmp_path / "services") as directory:
        assert directory.state == first
    assert first.superuser_password != first.analyst_password
    assert stat.S_IMODE((tmp_path / "services").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "services" / "credentials.json").stat().st_mode) == 0o600
    assert first.superuser_password not in repr(first)


async def test_a_directory_has_one_holder(tmp_path: Path) -> None:
    async with open_directory(tmp_path):
        with pytest.raises(StartupError, match="already running"):
            async with open_directory(tmp_path):
                pass
    async with open_directory(tmp_path):
        pass


async def test_services_that_are_still_ending_are_waited_for(tmp_path: Path) -> None:
    async with open_directory(tmp_path) as directory:
        left_behind = os.dup(directory.lock_fd)
    with pytest.raises(StartupError, match="already running"):
        async with open_directory(tmp_path, wait_s=0.1):
            pass
    os.close(left_behind)
    async with open_directory(tmp_path, wait_s=0.1):
        pass


@pytest.mark.parametrize("content", ["", "[1]", '{"other": 1}'])
async def test_damaged_credentials_are_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "credentials.json").write_text(content)
    with pytest.raises(StartupError, match=r"credentials\.json is damaged"):
        async with open_directory(tmp_path):
            pass


async def test_lost_credentials_are_told(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    with pytest.raises(StartupError, match=r"credentials\.json is gone"):
        async with open_directory(tmp_path):
            pass


async def test_a_place_that_cannot_be_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupError, match=r"cannot be used: (Not a directory|File exists)"):
        async with open_directory(tmp_path / "file" / "services"):
            pass


def test_the_port_of_the_last_run_is_kept_while_it_is_free() -> None:
    port = free_port()
    assert free_port(port) == port
    with socket.create_server((HOST, port)):
        assert free_port(port) != port


async def test_a_port_that_somebody_takes_meanwhile_is_given_up(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as other:
        taken = other.getsockname()[1]
        tried: list[int] = []

        def command(port: int) -> Command:
            tried.append(port)
            chosen = taken if len(tried) == 1 else port
            arguments = [sys.executable, "-I", "-S", "-c", LISTEN, str(chosen)]
            return Command("listener", arguments, directory=tmp_path, log=tmp_path / "log", environment={})

        async def answers(port: int) -> bool:
            with socket.socket() as probe:
                return probe.connect_ex((HOST, port)) == 0

        service = Service("listener", command, answers, port_taken="Address already in use")
        process, port = await start_service(service, None)
        await process.stop()
    assert len(tried) == 2
    assert port == tried[1]


async def test_why_a_service_did_not_start_is_told(tmp_path: Path) -> None:
    def command(port: int) -> Command:
        arguments = [sys.executable, "-I", "-S", "-c", "print('FATAL: no room'); print('bye')"]
        return Command("it", arguments, directory=tmp_path, log=tmp_path / "log", environment={})

    async def answers(port: int) -> bool:
        return False

    with pytest.raises(StartupError, match="it did not start: FATAL: no room; its log is"):
        await start_service(Service("it", command, answers, port_taken="taken"), None)


def test_a_directory_below_a_closed_one_is_not_open_to_everyone(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "inner").mkdir(mode=0o755)
    assert not open_to_everyone(tmp_path / "inner")
    assert open_to_everyone(Path("/usr/bin"))


def test_programs_are_copied_once_into_a_directory_that_is_ours(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir(mode=0o700)
    (source / "program").write_text("1")
    (source / "program").chmod(0o700)
    (source / "library.a").write_text("")
    with tempfile.TemporaryDirectory() as place:
        copied = shared_copy({"a/b": source}, "parts-1", [Path(place)])
        assert sorted(path.name for path in (copied / "a/b").iterdir()) == ["program"]
        assert stat.S_IMODE((copied / "a/b/program").stat().st_mode) == 0o755
        (source / "program").write_text("2")
        assert shared_copy({"a/b": source}, "parts-1", [Path(place)]) == copied
        assert (copied / "a/b/program").read_text() == "1"


def test_a_place_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deepanalyze").mkdir()
    (tmp_path / "deepanalyze").chmod(0o777)
    with pytest.raises(StartupError, match="no directory that user 'nobody' can reach"):
        shared_copy({"a": tmp_path}, "parts-1", [tmp_path])
