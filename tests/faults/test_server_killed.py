"""`kill -9` of a server at random moments, while clients change sources, users, keys, threads and files at the same
time: the next server opens what is left, every answered change is there, and one under way is whole or absent.
"""

from __future__ import annotations

import json
import random
import secrets
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.support.changing import SHELF, Answers, ChangingClient, Surroundings
from tests.support.postgres_roles import fresh_logins
from tests.support.processes import Running, started
from tests.support.registering import register
from tests.support.server import NO_TLS, bearer
from tests.support.services import PostgresDatabase

CLIENTS = 4
HANGING_S = 120  # against hanging, not a claim
BOOK = b"title,pages\n" + b"moby dick,635\n" * 20_000


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where the servers keep temporary files; as short as the paths of kernels' sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="da-") as directory:
        yield Path(directory)


@pytest.fixture
def around(postgres_database: PostgresDatabase) -> Iterator[Surroundings]:
    config = {k: v for k, v in postgres_database.analyst_config.items() if k not in ("user", "password")}
    with fresh_logins(postgres_database, 3) as logins:
        yield Surroundings(secrets.token_urlsafe(24), {**config, "pool_max_size": 1}, logins)


@pytest.mark.parametrize(
    "kills",
    [5, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(3600)])],
)
def test_whatever_was_answered_is_there_after_kill_9(
    tmp_path: Path, temporary: Path, around: Surroundings, kills: int
) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    answers = Answers()
    clients = [
        ChangingClient(str(n), random.Random(chance.random()), around, answers) for n in range(CLIENTS)
    ]
    data, shelf = tmp_path / "data", tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "book.csv").write_bytes(BOOK)
    environment = {
        "DEEPANALYZE_ADMIN_API_KEY": around.admin_key,
        "DEEPANALYZE_LOCAL_ROOTS": str(shelf),
        "DEEPANALYZE_REQUESTS_PER_MINUTE": "0",
        "DEEPANALYZE_AUTH_FAILURES_PER_MINUTE": "1000000",
        "DEEPANALYZE_LOG_LEVEL": "error",
        "TMPDIR": str(temporary),
    }
    with ThreadPoolExecutor(CLIENTS) as threads:
        for kill in range(kills + 1):
            with started(tmp_path, "serve", "--port", "0", "--data-dir", str(data), **environment) as server:
                url = server.url()
                if kill == 0:
                    _put_up_shelf(url, around, shelf)
                list(threads.map(lambda client, at: client.compare(at), clients, [url] * CLIENTS))
                _check_trail(url, around, data, clients)
                _check_that_nothing_lies_around(data, clients)
                if kill < kills:
                    _kill_amid_changes(server, url, clients, answers, chance.randint(1, 60))
    assert list(temporary.iterdir()) == []


def _kill_amid_changes(
    server: Running, url: str, clients: Sequence[ChangingClient], answers: Answers, after: int
) -> None:
    with ThreadPoolExecutor(len(clients)) as threads:
        changing = [threads.submit(client.change_until_gone, url) for client in clients]
        came = answers.wait_for(after, seconds=HANGING_S)
        server.process.kill()
        server.process.wait()
        for done in changing:
            done.result(timeout=HANGING_S)
        assert came


def _put_up_shelf(url: str, around: Surroundings, directory: Path) -> None:
    with httpx.Client(base_url=url, headers=bearer(around.admin_key), verify=NO_TLS, timeout=60) as admin:
        register(admin, SHELF, "local_file", {"root": str(directory)})


def _check_trail(url: str, around: Surroundings, data: Path, clients: Sequence[ChangingClient]) -> None:
    verified = httpx.post(f"{url}/v1/admin/audit/verify", headers=bearer(around.admin_key), timeout=60)
    assert verified.json()["valid"], verified.text
    recorded = {row[0] for row in _rows(data, "SELECT request_id FROM audit_records")}
    for client in clients:
        assert client.recorded <= recorded


def _check_that_nothing_lies_around(data: Path, clients: Sequence[ChangingClient]) -> None:
    """While nobody changes anything: rows and what lies on the disk are each other's, and each has a reason."""
    threads = {row[0] for row in _rows(data, "SELECT id FROM threads")}
    assert {path.name for path in (data / "threads").iterdir()} == threads
    assert {path.name for path in (data / "files").iterdir()} == {
        row[0] for row in _rows(data, "SELECT id FROM files")
    }
    assert list((data / "threads").glob("*/staging/*")) == []
    assert [path for path in data.rglob("*") if path.suffix == ".part"] == []
    sources = {row[0]: json.loads(row[1]) for row in _rows(data, "SELECT name, secrets FROM data_sources")}
    assert sources.pop(SHELF) == {}
    assert {name for client in clients for name in client.names("source")} == set(sources)
    assert all("password" in kept for kept in sources.values())
    users = {row[0] for row in _rows(data, "SELECT name FROM users")}
    assert {name for client in clients for name in client.names("user")} | {"admin"} == users
    owners = {row[0] for row in _rows(data, "SELECT owner_id FROM threads UNION SELECT owner_id FROM files")}
    assert owners <= {row[0] for row in _rows(data, "SELECT id FROM users")}


def _rows(data: Path, sql: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(f"file:{data / 'store.sqlite'}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()
