"""`deepanalyze users`, `keys` and `threads`: asking a server, and the data directory that none holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.cli import KEY, Done, good, one_line, serving
from tests.support.processes import run, started
from tests.support.server import NO_TLS, bearer


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def url(tmp_path: Path, data_dir: Path) -> Iterator[str]:
    with serving(tmp_path, data_dir) as (url, _):
        yield url


def test_users_keys_and_threads_of_a_server(tmp_path: Path, url: str) -> None:
    def ask(*arguments: str) -> Done:
        return run(tmp_path, *arguments, DEEPANALYZE_URL=url, DEEPANALYZE_API_KEY=KEY, COLUMNS="200")

    assert "keys create" in good(ask("users", "add", "ada", "--grant", "*:write"))
    one_line(ask("users", "add", "ada"), 1, "'ada'", "already exists", "(request ")
    one_line(ask("users", "edit", "ada"), 1, "--role")
    for wrong in (
        ask("users", "edit", "ada", "--grant", "*", "--no-grants"),
        ask("keys", "create", "laptop", "--user", "eve", "--role", "boss"),
    ):
        assert (wrong.returncode, wrong.stdout) == (2, "")
    one_line(ask("users", "edit", "a/b", "--no-grants"), 1, "'a/b'")
    changed = json.loads(good(ask("users", "edit", "ada", "--role", "admin", "--no-grants", "--json")))
    assert (changed["role"], changed["grants"]) == ("admin", [])
    assert "ada" in good(ask("users", "list"))
    assert [user["name"] for user in json.loads(good(ask("users", "list", "--json")))] == ["ada", "admin"]

    shown = good(ask("keys", "create", "laptop", "--user", "bob", "--days", "1"))
    key = shown.split()[-1]
    with httpx.Client(base_url=url, headers=bearer(key), verify=NO_TLS) as bob:
        assert bob.get("/v1/models").status_code == 200
        listed = good(ask("keys", "list", "--user", "bob"))
        assert "valid until" in listed
        assert key not in listed
        [stored] = json.loads(good(ask("keys", "list", "--user", "bob", "--json")))
        one_line(ask("keys", "revoke", stored["id"]), 1, "--yes")
        assert "revoked" in good(ask("keys", "revoke", stored["id"], "--yes"))
        assert bob.get("/v1/models").status_code == 401
    assert "revoked" in good(ask("keys", "list", "--user", "bob"))

    assert "no threads" in good(ask("threads", "list"))
    assert json.loads(good(ask("threads", "stats", "--json")))["total_threads"] == 0
    assert "workspace bytes" in good(ask("threads", "stats"))
    assert "0 threads removed" in good(ask("threads", "cleanup", "--unused-hours", "1", "--yes"))
    one_line(ask("threads", "remove", "thread-none", "--yes"), 1, "thread-none")
    one_line(ask("users", "remove", "bob"), 1, "--yes")
    assert json.loads(good(ask("users", "remove", "bob", "--yes", "--json")))["deleted"] is True
    one_line(ask("users", "remove", "bob", "--yes"), 1, "'bob'")
    refused = run(tmp_path, "users", "list", DEEPANALYZE_URL=url, DEEPANALYZE_API_KEY="wrong")
    one_line(refused, 1, "not valid")


def test_users_and_keys_of_a_data_directory_that_nobody_serves(tmp_path: Path, data_dir: Path) -> None:
    def ask(*arguments: str) -> Done:
        return run(tmp_path, *arguments, "--data-dir", str(data_dir))

    one_line(ask("users", "list"), 2, str(data_dir))
    with serving(tmp_path, data_dir):
        one_line(ask("keys", "list"), 2, "running server", str(data_dir), "--api-key-file")
    good(ask("users", "add", "ada"))
    assert json.loads(good(ask("keys", "create", "laptop", "--user", "ada", "--json")))["key"]
    one_line(ask("users", "remove", "admin", "--yes"), 1, "last administrator")


def test_the_first_key_is_made_by_a_server_which_shows_it_and_by_no_command(
    tmp_path: Path, data_dir: Path
) -> None:
    with serving(tmp_path, data_dir):
        pass
    local = ("--json", "--data-dir", str(data_dir))
    assert json.loads(good(run(tmp_path, "keys", "list", *local))) == []
    made = json.loads(good(run(tmp_path, "audit", "list", "--action", "create", *local)))
    assert [record["object_type"] for record in made] == ["user"]
    with started(tmp_path, "serve", "--port", "0", "--data-dir", str(data_dir)) as server:
        server.until("shown only now")
