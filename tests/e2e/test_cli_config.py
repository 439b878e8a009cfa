"""`deepanalyze config`, and a configuration file that changes under a running server."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.support.canaries import canary
from tests.support.processes import run, started

FAR_PASSWORD = canary("password of the environment")
ADMIN = canary("configured admin key")
SOURCE = """
[[data_sources]]
name = "{name}"
type = "postgresql"
[data_sources.config]
host = "192.0.2.1"
database = "x"
user = "ada"
password = "${{env:FAR_PASSWORD}}"
"""
ENVIRON = {"FAR_PASSWORD": FAR_PASSWORD, "DEEPANALYZE_ADMIN_API_KEY": ADMIN}


def write(home: Path, text: str) -> None:
    (home / "deepanalyze.toml").write_text(text)


def test_check_says_everything_wrong_at_once(tmp_path: Path) -> None:
    write(tmp_path, "prot = 1\n" + SOURCE.format(name="Far"))
    done = run(tmp_path, "config", "check", DEEPANALYZE_PORT="x")
    assert done.returncode == 2
    for words in (
        "4 settings are wrong",
        "prot",
        "DEEPANALYZE_PORT",
        "'Far'",
        "${env:FAR_PASSWORD}: there is no",
    ):
        assert words in done.stderr
    assert "Traceback" not in done.stderr
    done = run(tmp_path, "config", "check", "--json", DEEPANALYZE_PORT="x")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["valid"], len(answer["errors"])) == (2, False, 4)


def test_check_of_a_right_configuration(tmp_path: Path) -> None:
    write(tmp_path, SOURCE.format(name="far"))
    done = run(tmp_path, "config", "check", **ENVIRON)
    assert (done.returncode, done.stderr) == (0, "")
    assert "deepanalyze.toml" in done.stdout
    done = run(tmp_path, "config", "check", "--json", **ENVIRON)
    assert json.loads(done.stdout)["valid"] is True


def test_show_tells_where_each_value_came_from_and_no_secret(tmp_path: Path) -> None:
    write(tmp_path, "max_rounds = 7\n" + SOURCE.format(name="far"))
    done = run(tmp_path, "config", "show", "--json", **ENVIRON)
    answer = json.loads(done.stdout)
    settings = {each["name"]: (each["value"], each["origin"]) for each in answer["settings"]}
    assert settings["max_rounds"] == (7, "deepanalyze.toml")
    assert settings["admin_api_key"] == ("********", "DEEPANALYZE_ADMIN_API_KEY")
    assert settings["port"] == (8200, "default")
    assert answer["data_sources"][0]["config"]["password"] == "********"
    people = run(tmp_path, "config", "show", **ENVIRON)
    assert "max_rounds" in people.stdout
    for output in (done.stdout, people.stdout):
        assert FAR_PASSWORD not in output
        assert ADMIN not in output


@pytest.mark.requirement("6.1")
def test_a_served_process_reloads_on_sighup_and_goes_on_with_its_work(tmp_path: Path) -> None:
    write(tmp_path, SOURCE.format(name="first"))
    data = str(tmp_path / "data")
    with started(tmp_path, "serve", "--port", "0", "--data-dir", data, **ENVIRON) as server:
        url = re.search(r"http://\S+", server.until("answers at"))
        assert url is not None
        with httpx.Client(
            base_url=url[0], headers={"Authorization": f"Bearer {ADMIN}"}, timeout=60
        ) as client:
            assert names(client) == ["first"]
            write(tmp_path, SOURCE.format(name="first") + SOURCE.format(name="second"))
            server.process.send_signal(signal.SIGHUP)
            until(client, ["first", "second"])
            write(tmp_path, SOURCE.format(name="Third"))
            server.process.send_signal(signal.SIGHUP)
            assert "Third" in server.until("was not reloaded")
            assert names(client) == ["first", "second"]
            write(tmp_path, SOURCE.format(name="second"))
            server.process.send_signal(signal.SIGHUP)
            until(client, ["second"])
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0
    assert not any(FAR_PASSWORD in line for line in server.lines)


def names(client: httpx.Client) -> list[str]:
    return [source["name"] for source in client.get("/v1/data-sources").json()["data"]]


def until(client: httpx.Client, expected: list[str]) -> None:
    deadline = time.monotonic() + 60
    while (found := names(client)) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_check_tells_of_model_servers_without_failing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    table = f'[[models]]\nid = "qwen3"\nbase_url = "http://127.0.0.1:{port}/v1"\n'
    write(tmp_path, table)
    done = run(tmp_path, "config", "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "The configuration is right" in done.stdout
    assert f"Models: model server 127.0.0.1:{port} (model 'qwen3') cannot be reached" in done.stdout
    answer = json.loads(run(tmp_path, "config", "check", "--json").stdout)
    assert (answer["valid"], len(answer["model_problems"])) == (True, 1)
    write(tmp_path, f"{table}fallback = ['qwen4']\n")
    done = run(tmp_path, "config", "check")
    assert done.returncode == 2
    assert "model 'qwen3' has the fallback 'qwen4'" in done.stderr


def test_the_server_starts_and_tells_of_model_servers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    write(tmp_path, f'[[models]]\nid = "qwen3"\nbase_url = "http://127.0.0.1:{port}/v1"\n')
    arguments = ("serve", "--port", "0", "--data-dir", str(tmp_path / "data"))
    with started(tmp_path, *arguments, DEEPANALYZE_ADMIN_API_KEY=ADMIN) as server:
        server.url()
        server.until(f"Models: model server 127.0.0.1:{port} (model 'qwen3') cannot be reached")
