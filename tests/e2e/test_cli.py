"""The command line in a terminal: what it says, and how it ends when something is wrong."""

from __future__ import annotations

import re
import signal
import socket
import sys
import tempfile
from pathlib import Path

import httpx
import pytest

from deepanalyze.cli.server import listen
from deepanalyze.errors import StartupError
from tests.support.processes import run, started


def assert_one_clear_line(done: object, *words: str) -> None:
    stderr: str = done.stderr  # type: ignore[attr-defined]
    assert done.returncode == 2, stderr  # type: ignore[attr-defined]
    assert "Traceback" not in stderr
    assert stderr.count("\n") == 1
    for word in words:
        assert word in stderr


def test_help_names_the_commands(tmp_path: Path) -> None:
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    for command in ("serve", "demo", "dev"):
        assert command in done.stdout


def test_serve_answers_and_ends_on_sigterm(tmp_path: Path) -> None:
    with started(tmp_path, "serve", "--port", "0", "--data-dir", str(tmp_path / "data")) as server:
        url = re.search(r"http://\S+", server.until("answers at"))
        key = server.until("Admin API key").split()[-1]
        assert url is not None
        answer = httpx.get(f"{url[0]}/v1/models", headers={"Authorization": f"Bearer {key}"})
        assert "deepanalyze-profiler" in [model["id"] for model in answer.json()["data"]]
        assert httpx.get(f"{url[0]}/v1/models").status_code == 401
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0


def test_the_admin_key_is_shown_once_and_kept(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    with started(tmp_path, "serve", "--port", "0", "--data-dir", data) as server:
        key = server.until("Admin API key").split()[-1]
    with started(tmp_path, "serve", "--port", "0", "--data-dir", data) as server:
        url = re.search(r"http://\S+", server.until("answers at"))
        assert url is not None
        assert httpx.get(f"{url[0]}/v1/models", headers={"api-key": key}).status_code == 200
    assert not any("Admin API key" in line for line in server.lines)


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(tmp_path, "serve", "--port", port, "--data-dir", str(tmp_path / "data"))
    assert_one_clear_line(done, port, "in use", "--port")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_this_machine_is_told(host: str) -> None:
    with pytest.raises(StartupError, match=f"cannot listen on {host}:0: .*--host"):
        listen(host, 0)


def test_a_second_server_on_the_same_directory_is_told(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    with started(tmp_path, "serve", "--port", "0", "--data-dir", data) as server:
        server.until("answers at")
        done = run(tmp_path, "serve", "--port", "0", "--data-dir", data)
    assert_one_clear_line(done, data, str(server.process.pid))


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(tmp_path, "serve", "--port", "0", "--data-dir", str(tmp_path / "file" / "data"))
    assert_one_clear_line(done, str(tmp_path / "file"))


def test_a_directory_that_generated_code_could_read_is_refused(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=sys.prefix) as inside:
        done = run(tmp_path, "serve", "--port", "0", "--log-level", "error", "--data-dir", f"{inside}/data")
    assert_one_clear_line(done, inside, "generated code")


def test_unknown_settings_are_told_with_the_nearest_name(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", DEEPANALYZE_MAX_KERNEL="3")
    assert_one_clear_line(done, "DEEPANALYZE_MAX_KERNEL", "DEEPANALYZE_MAX_KERNELS")


def test_a_missing_config_file_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--config", str(tmp_path / "none.toml"))
    assert_one_clear_line(done, "none.toml")


@pytest.mark.parametrize("key", ["", "not a key"])
def test_a_bad_key_file_stops_the_start(tmp_path: Path, key: str) -> None:
    data = tmp_path / "data"
    with started(tmp_path, "serve", "--port", "0", "--data-dir", str(data)) as server:
        server.until("answers at")
    [key_file] = [p for p in data.rglob("*") if p.is_file() and "key" in p.name]
    key_file.write_text(key)
    done = run(tmp_path, "serve", "--port", "0", "--data-dir", str(data))
    assert_one_clear_line(done, "key")
