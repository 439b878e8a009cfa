"""`deepanalyze dev` as a person at a terminal uses it."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from azure.storage.blob import ContainerClient

from deepanalyze.devservices import open_services
from deepanalyze.devservices.state import open_directory
from tests.support.processes import DEADLINE_S, Running, deepanalyze, environment, run, started
from tests.support.services import processes_in

USER = pwd.getpwnam("nobody")
AS_ORDINARY_USER = [
    "setpriv",
    *(f"--reuid={USER.pw_uid}", f"--regid={USER.pw_gid}", "--clear-groups"),
    # The interpreter may lie below root's private home; an ordinary user's own does not.
    *(
        "--inh-caps=-all,+dac_read_search",
        "--ambient-caps=-all,+dac_read_search",
        "--bounding-set=-all,+dac_read_search",
    ),
]


def details(running: Running) -> dict[str, Any]:
    return dict(json.loads(running.until('{"ok"')))


def check_connections(said: dict[str, Any]) -> None:
    """With the very configs that it says to register."""
    postgres, blob = (source["config"] for source in said["data_sources"])
    database = postgres.pop("database")
    with psycopg.connect(dbname=database, **postgres) as connection:
        assert connection.execute("SELECT count(*) FROM flights").fetchone() == (336_776,)
    with ContainerClient.from_connection_string(
        blob["connection_string"], blob["container_name"]
    ) as container:
        assert len(list(container.list_blob_names())) == 12


def test_it_serves_the_sample_data_until_it_is_interrupted(tmp_path: Path) -> None:
    home = str(tmp_path / "dev")
    with started(tmp_path, "dev", "--json", "--data-dir", home) as running:
        said = details(running)
        check_connections(said)
        with psycopg.connect(said["postgresql"]["analyst"]) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("analyst",)

        second = run(tmp_path, "dev", "--data-dir", home)
        assert second.returncode == 2
        assert second.stderr.splitlines() == [
            f"deepanalyze: the services in {home}/services are already running; stop them or use another directory"
        ]

        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(DEADLINE_S) == 0
    assert processes_in(tmp_path / "dev") == []


def test_it_says_how_to_go_on_and_when_a_service_dies(tmp_path: Path) -> None:
    with started(tmp_path, "dev", "--no-sample-data", "--data-dir", str(tmp_path)) as running:
        running.until("Ctrl-C stops it")
        text = "".join(running.lines)
        assert "postgresql://analyst:" in text
        assert "BlobEndpoint=http://127.0.0.1:" in text
        assert "curl http" in text

        services = tmp_path / "services" / "azurite"
        (azurite,) = set(processes_in(services)) - set(guards_in(services))
        os.kill(azurite, signal.SIGKILL)
        assert "Azurite ended unexpectedly" in running.until("deepanalyze:")
        assert running.process.wait(DEADLINE_S) == 1
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize("also_guards", [False, True])
async def test_killed_it_leaves_nothing_running_and_starts_again(tmp_path: Path, also_guards: bool) -> None:
    services = tmp_path / "services"
    with started(tmp_path, "dev", "--no-sample-data", "--json", "--data-dir", str(tmp_path)) as running:
        details(running)
        victims = [running.process.pid, *(guards_in(services) if also_guards else [])]
        assert len(victims) == (3 if also_guards else 1)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        running.process.wait(DEADLINE_S)
    async with open_directory(services, wait_s=DEADLINE_S):  # waits until the last of them has ended
        assert processes_in(services) == []
    async with open_services(services) as again:
        with psycopg.connect(again.postgres.analyst_dsn("dev")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def guards_in(directory: Path) -> list[int]:
    found = []
    for pid in processes_in(directory):
        with suppress(FileNotFoundError, ProcessLookupError):  # PostgreSQL's own come and go
            if b"guard.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


@pytest.fixture
def users_home() -> Iterator[Path]:
    """A directory of an ordinary user's own, in a place that this user can reach."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("the other tests run as an ordinary user already")
    if subprocess.run([*AS_ORDINARY_USER, "true"], check=False, capture_output=True).returncode:
        pytest.skip("root may not become another user here")
    with tempfile.TemporaryDirectory() as path:
        os.chown(path, USER.pw_uid, USER.pw_gid)
        yield Path(path)


def test_an_ordinary_user_runs_it_too(users_home: Path) -> None:
    options = ["--no-sample-data", "--json", "--data-dir", str(users_home / "dev")]
    with subprocess.Popen(
        [*AS_ORDINARY_USER, *deepanalyze("dev", *options)],
        env=environment(users_home),
        cwd=users_home,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            with psycopg.connect(details(Running(process))["postgresql"]["analyst"]) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            owners = set()
            for pid in processes_in(users_home / "dev"):
                with contextlib.suppress(FileNotFoundError):  # a backend that has ended meanwhile
                    owners.add(os.stat(f"/proc/{pid}").st_uid)
            assert owners == {USER.pw_uid}
        finally:
            process.terminate()
    assert process.returncode == 0
    assert processes_in(users_home) == []


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(tmp_path, "dev", "--data-dir", str(tmp_path / "file"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be used: Not a directory" in done.stderr
