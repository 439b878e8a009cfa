"""Each kind of deed leaves its record: what, by whom, in which request; and administrators can read them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest

from deepanalyze.accounts import Grant
from deepanalyze.errors import InternalError
from tests.e2e.api.conftest import SCRIPTED
from tests.support.answers import error_of
from tests.support.model_server import ModelServer
from tests.support.registering import register_database
from tests.support.server import ThreadedServer, serving
from tests.support.services import PostgresDatabase
from tests.support.toysource import PASSWORD, ToyConnector

AUDIT = "/v1/admin/audit"
Records = list[dict[str, Any]]


def records(admin: httpx.Client, count: int = 1, **wanted: Any) -> Records:
    """Newest first. What was only read is written a few milliseconds after its answer."""
    deadline = time.monotonic() + 10
    while True:
        answer = admin.get(AUDIT, params={"limit": 1000, **wanted})
        assert answer.status_code == 200, answer.text
        found: Records = answer.json()["data"]
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, f"{wanted}: {found}"
        time.sleep(0.01)


def records_of(admin: httpx.Client, request_id: str, **wanted: Any) -> Records:
    """At least one."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if found := [r for r in records(admin, 0, **wanted) if r["request_id"] == request_id]:
            return found
        time.sleep(0.01)
    raise AssertionError(f"no record of {request_id}")


def record_of(admin: httpx.Client, request_id: str, action: str) -> dict[str, Any]:
    return records_of(admin, request_id, action=action)[0]


def made(client: httpx.Client, name: str, request_id: str = "make-1") -> dict[str, Any]:
    body = {"type": "toy", "name": name, "config": {"toys": ["a.csv"], "password": PASSWORD}}
    answer = client.post("/v1/data-sources", json=body, headers={"X-Request-ID": request_id})
    assert answer.status_code == 201, answer.text
    source: dict[str, Any] = answer.json()
    return source


@pytest.mark.requirement("7.5")
def test_each_use_of_a_source_leaves_its_record(
    admin: httpx.Client, ada: httpx.Client, unique: Callable[[str], str]
) -> None:
    source = made(ada, unique("box"))
    path = f"/v1/data-sources/{source['id']}"
    steps = [
        ("test", "POST", "/test", None),
        ("browse", "GET", "/browse", None),
        ("fetch", "POST", "/fetch", {"path": "a.csv"}),
        ("fetch", "POST", "/fetch", {"path": "missing"}),
        ("delete", "DELETE", "", None),
    ]
    for n, (_, method, rest, body) in enumerate(steps):
        ada.request(method, path + rest, json=body, headers={"X-Request-ID": f"step-{n}"})
    found = records(admin, len(steps) + 1, source=source["id"])[::-1]
    assert [r["action"] for r in found] == ["create", *(step[0] for step in steps)]
    assert [r["request_id"] for r in found] == ["make-1", *(f"step-{n}" for n in range(len(steps)))]
    assert {r["user_id"] for r in found} == {source["created_by"]}
    assert {r["client_address"] for r in found} == {"127.0.0.1"}
    assert all(r["key_id"].startswith("key-") for r in found)
    assert [r["outcome"] for r in found] == ["ok", "ok", "ok", "ok", "failed", "ok"]
    assert found[4]["code"] == "blob_not_found"
    assert found[3]["details"]["path"] == "a.csv"
    assert found[3]["details"]["files"] == 1
    assert [r["sequence"] for r in found] == sorted(r["sequence"] for r in found)
    assert PASSWORD not in str(found)


def test_a_change_is_in_the_trail_before_its_answer(
    admin: httpx.Client, ada: httpx.Client, unique: Callable[[str], str]
) -> None:
    for n in range(5):
        source = made(ada, unique("box"), request_id=f"soon-{n}")
        [record] = admin.get(AUDIT, params={"source": source["id"]}).json()["data"]
        assert record["request_id"] == f"soon-{n}"


def test_sql_leaves_its_fingerprint(
    server: ThreadedServer,
    admin: httpx.Client,
    postgres_database: PostgresDatabase,
    unique: Callable[[str], str],
) -> None:
    source = register_database(admin, unique("db"), postgres_database)
    path = f"/v1/data-sources/{source}"
    admin.post(f"{path}/query", json={"sql": "SELECT 'hidden-1' AS word"})
    admin.post(f"{path}/query", json={"sql": "SELECT 'hidden-2' AS word"}, headers={"Accept": "text/csv"})
    admin.post(f"{path}/fetch", json={"query": "SELECT 'hidden-3' AS word"})
    admin.post(f"{path}/query", json={"sql": "DROP TABLE hidden_4"})
    found = records(admin, 5, source=source)[::-1]
    assert [r["action"] for r in found] == ["create", "query", "export", "fetch", "query"]
    assert len({r["details"]["fingerprint"] for r in found[1:4]}) == 1
    assert [r["details"].get("rows") for r in found[1:4]] == [1, 1, 1]
    assert (found[4]["outcome"], found[4]["code"]) == ("refused", "read_only_violation")
    assert "hidden" not in str(found)


def test_code_that_runs_leaves_its_record(
    admin: httpx.Client, client: openai.OpenAI, model: ModelServer
) -> None:
    model.say("<Code>print(6 * 7)</Code>", "<Code>1 / 0</Code>", "<Answer>42</Answer>")
    before = admin.get(AUDIT, params={"action": "code_run", "limit": 1}).json()["data"]
    answer = client.chat.completions.with_raw_response.create(
        model=SCRIPTED, messages=[{"role": "user", "content": "?"}]
    )
    deadline = time.monotonic() + 10
    newest = before[0]["sequence"] if before else 0
    while True:
        all_found = records(admin, 0, action="code_run")
        found = [r for r in all_found if r["sequence"] > newest][::-1]
        if len(found) >= 2 or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    assert [r["outcome"] for r in found] == ["ok", "failed"]
    assert {r["request_id"] for r in found} == {answer.headers["X-Request-ID"]}
    assert [r["details"]["block"] for r in found] == [1, 2]
    assert all(r["user_id"] and len(r["details"]["code_sha256"]) == 64 for r in found)


def test_what_is_refused_is_told(
    server: ThreadedServer,
    admin: httpx.Client,
    ada: httpx.Client,
    bob: httpx.Client,
    unique: Callable[[str], str],
    user: Callable[..., str],
) -> None:
    private = made(ada, unique("box"))["id"]
    shared = made(admin, unique("box"))["id"]
    assert bob.post(f"/v1/data-sources/{private}/test").status_code == 404
    assert admin.get(f"/v1/data-sources/{private}/browse").status_code == 403
    with server.client(user([Grant(shared)])) as reader:
        assert reader.delete(f"/v1/data-sources/{shared}").status_code == 403
    assert bob.get("/v1/data-sources/nobodys").status_code == 404
    refused = records(admin, 2, source=private, outcome="refused")
    assert [(r["action"], r["code"]) for r in refused] == [
        ("use", "permission_denied"),
        ("find", "not_found"),
    ]
    [refused_delete] = records(admin, source=shared, outcome="refused")
    assert refused_delete["action"] == "delete"
    assert records(admin, 0, source="nobodys") == []


def test_a_wrong_key_leaves_its_record_but_not_itself(admin: httpx.Client, server: ThreadedServer) -> None:
    with server.client("sk-da-a-wrong-key") as stranger:
        answer = stranger.get("/v1/data-sources", headers={"X-Request-ID": "stranger-1"})
    assert answer.status_code == 401
    found = record_of(admin, "stranger-1", "login_failure")
    assert (found["outcome"], found["code"], found["user_id"]) == ("refused", "invalid_api_key", None)
    assert found["client_address"] == "127.0.0.1"
    assert "wrong-key" not in str(found)


@pytest.mark.parametrize(("method", "path"), [("GET", AUDIT), ("POST", f"{AUDIT}/verify")])
def test_analysts_may_not_read_it(admin: httpx.Client, ada: httpx.Client, method: str, path: str) -> None:
    answer = ada.request(method, path, headers={"X-Request-ID": f"curious-{method}"})
    error_of(answer, 403, "permission_denied")
    refused = record_of(admin, f"curious-{method}", "request")
    assert (refused["outcome"], refused["details"]["path"]) == ("refused", path)


def test_what_administrators_try_in_vain_is_told_by_its_route(admin: httpx.Client) -> None:
    admin.post("/v1/admin/no-such-thing", headers={"X-Request-ID": "admin-1"})
    found = record_of(admin, "admin-1", "admin")
    assert (found["outcome"], found["details"]["path"]) == ("failed", "/v1/admin/no-such-thing")


def test_pages_follow_one_another_and_filters_are_combined(
    admin: httpx.Client, ada: httpx.Client, unique: Callable[[str], str]
) -> None:
    source = made(ada, unique("box"))["id"]
    for _ in range(5):
        ada.get(f"/v1/data-sources/{source}/browse")
    newest = records(admin, 6, source=source)
    seen: list[int] = []
    cursor = None
    for _ in range(3):
        page = admin.get(
            AUDIT, params={"source": source, "limit": 2, **({"cursor": cursor} if cursor else {})}
        )
        seen += [r["sequence"] for r in page.json()["data"]]
        cursor = page.json()["next_cursor"]
    assert cursor is None
    assert seen == [r["sequence"] for r in newest]
    assert len(records(admin, 5, source=source, action="browse", user=newest[0]["user_id"])) == 5
    assert records(admin, 0, source=source, user="user-" + "0" * 24) == []
    assert records(admin, 0, source=source, until=newest[-1]["created_at"]) == []
    assert len(records(admin, 6, source=source, since=newest[-1]["created_at"])) == 6


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({"cursor": "☃"}, "cursor"),
        ({"cursor": "YWJj"}, "cursor"),
        ({"outcome": "well"}, "outcome"),
        ({"since": -1}, "since"),
        ({"since": 5, "until": 5}, "until"),
        ({"action": "querry"}, "action"),
        ({"user": "nobody-of-that-name"}, "user"),
        ({"limit": 0}, "limit"),
    ],
)
def test_what_cannot_be_meant_is_refused(admin: httpx.Client, wanted: dict[str, Any], param: str) -> None:
    answer = admin.get(AUDIT, params=wanted)
    error_of(answer, 422, "invalid_request", param)


def test_the_trail_of_a_running_server_is_whole(admin: httpx.Client) -> None:
    found = admin.post(f"{AUDIT}/verify").json()
    assert (found["valid"], found["first_broken"], found["object"]) == (True, None, "audit_verification")
    assert len(found["head_mac"]) == 64


@pytest.fixture
def unwritable() -> Iterator[ThreadedServer]:
    with serving() as server:
        server.runtime.registry.register_connector_class("toy", ToyConnector)
        yield server


def test_a_change_whose_record_cannot_be_written_is_not_made(
    unwritable: ThreadedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise InternalError("the server's store failed: the disk is full; nothing was changed")

    with unwritable.client() as admin:
        source = made(admin, "box")["id"]
        for appending in ("deepanalyze.store.changes.append", "deepanalyze.store.audit.append"):
            monkeypatch.setattr(appending, full)
        failed = error_of(admin.delete(f"/v1/data-sources/{source}"), 500, "internal_error")
        assert "the disk is full" in failed["message"]
        assert [each["id"] for each in admin.get("/v1/data-sources").json()["data"]] == [source]
        monkeypatch.undo()
