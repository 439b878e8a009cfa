"""What administrators see of threads and pools, and tidying up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.e2e.api.test_users import make_toy
from tests.support.answers import error_of
from tests.support.postgres_sources import run_sql
from tests.support.registering import register_database
from tests.support.server import ThreadedServer, serving
from tests.support.services import PostgresDatabase
from tests.support.toysource import ToyConnector

CLEANUP = "/v1/admin/cleanup-threads"
STATS = "/v1/admin/threads-stats"


@pytest.fixture(scope="module")
def alone() -> Iterator[ThreadedServer]:
    """A server whose threads are only these tests'."""
    with serving() as server:
        server.runtime.registry.register_connector_class("toy", ToyConnector)
        yield server


def counts(admin: httpx.Client) -> tuple[int, ...]:
    stats = admin.get(STATS).json()
    assert stats["timeout_hours"] == 12
    assert abs(stats["timestamp"] - time.time()) < 60
    return tuple(stats[f"{kind}_threads"] for kind in ("total", "recent", "old", "expired"))


@pytest.mark.requirement("10.5")
def test_threads_are_counted_and_cleaned(alone: ThreadedServer) -> None:
    with alone.client() as admin, alone.client(alone.user("ada")) as ada:
        make_toy(ada, "box")
        for _ in range(3):
            assert ada.post("/v1/data-sources/box/fetch", json={"path": "a.csv"}).status_code == 200
        touch = alone.runtime.threads._repository.touch_thread
        now, hour = int(time.time()), 3600
        ids = [found["id"] for found in ada.get("/v1/threads").json()["data"]]
        alone.call(touch, ids[1], now - 3 * hour, now + 9 * hour)
        alone.call(touch, ids[2], now - 13 * hour, now - hour)
        assert counts(admin) == (3, 1, 1, 1)
        assert admin.get(STATS).json()["workspace_bytes"] > 0
        cleaned = admin.post(CLEANUP).json()
        assert (cleaned["status"], cleaned["cleaned_threads"]) == ("success", 1)
        assert cleaned["timeout_hours"] == 12
        assert admin.post(CLEANUP, params={"timeout_hours": 2}).json()["cleaned_threads"] == 1
        assert counts(admin) == (1, 1, 0, 0)
        assert [found["id"] for found in ada.get("/v1/threads").json()["data"]] == [ids[0]]
        error_of(ada.get(f"/v1/threads/{ids[1]}"), 404, "not_found", "thread_id")
        threads = alone.runtime.settings.data_dir / "threads"
        assert [directory.name for directory in threads.iterdir()] == [ids[0]]


@pytest.mark.parametrize("hours", ["-1", "nan", "inf", "soon", "1e9"])
def test_hours_are_checked(alone: ThreadedServer, hours: str) -> None:
    with alone.client() as admin:
        answer = admin.post(CLEANUP, params={"timeout_hours": hours})
        error_of(answer, 422, "invalid_request", "timeout_hours")


def test_pools_show_what_is_connected(
    admin: httpx.Client, unique: Callable[[str], str], postgres_database: PostgresDatabase
) -> None:
    name, toy = unique("pooled"), unique("toy")
    run_sql(postgres_database.admin_dsn, "CREATE TABLE t (a int)")
    register_database(admin, name, postgres_database)
    make_toy(admin, toy)
    before = {pool["name"]: pool for pool in admin.get("/v1/admin/pools?limit=1000").json()["data"]}
    assert before[name]["pool"] is None
    assert admin.post(f"/v1/data-sources/{name}/query", json={"sql": "SELECT 1"}).status_code == 200
    after = {pool["name"]: pool for pool in admin.get("/v1/admin/pools?limit=1000").json()["data"]}
    assert after[name]["pool"]["total"] >= 1
    assert after[name]["pool"]["max_size"] >= after[name]["pool"]["total"]
    assert after[name]["type"] == "postgresql"
    assert after[toy]["pool"] is None
    page = admin.get("/v1/admin/pools?limit=1").json()
    assert (page["has_more"], len(page["data"])) == (True, 1)
