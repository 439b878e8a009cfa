"""What a deed was done to is in its record: for every route that changes anything, as the OpenAPI document lists them,
so that a new one cannot be forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from tests.e2e.api.test_audit import AUDIT, made, records, records_of
from tests.e2e.api.test_two_users import operations
from tests.support.answers import error_of
from tests.support.blob_sources import key_config
from tests.support.server import ThreadedServer
from tests.support.services import BlobContainer

CHAT = {
    "model": "deepanalyze-profiler",
    "messages": [{"role": "user", "content": "?", "thread_id": "{thread}"}],
}
# In this order. What a request needs besides the ids in its path, and the answer's id of what was acted on.
STEPS: list[tuple[str, Mapping[str, Any], str]] = [
    ("POST /v1/admin/users", {"json": {"name": "{name}", "role": "analyst"}}, "user"),
    ("PATCH /v1/admin/users/{id}", {"json": {"role": "admin"}}, "user"),
    ("POST /v1/admin/api-keys", {"json": {"name": "laptop", "user": "{user}"}}, "api_key"),
    ("DELETE /v1/admin/api-keys/{id}", {}, "api_key"),
    ("DELETE /v1/admin/users/{id}", {}, "user"),
    ("POST /v1/admin/cleanup-threads", {"params": {"timeout_hours": 10**6}}, "thread"),
    ("POST /v1/admin/audit/verify", {}, "audit_trail"),
    (
        "POST /v1/data-sources",
        {"json": {"type": "azure_blob", "name": "{name}", "config": "{config}"}},
        "data_source",
    ),
    ("PATCH /v1/data-sources/{id}", {"json": {"metadata": {"team": "data"}}}, "data_source"),
    ("POST /v1/data-sources/{id}/test", {}, "data_source"),
    ("POST /v1/data-sources/{id}/query", {"json": {"sql": "SELECT 1"}}, "data_source"),
    ("POST /v1/data-sources/{id}/fetch", {"json": {"path": "a.csv"}}, "thread"),
    (
        "POST /v1/data-sources/{id}/upload",
        {"json": {"thread_id": "{thread}", "file": "a.csv", "path": "b.csv"}},
        "thread",
    ),
    ("DELETE /v1/data-sources/{id}", {}, "data_source"),
    ("POST /v1/files", {"files": {"file": ("a.csv", b"n\n1\n")}}, "file"),
    ("DELETE /v1/files/{file_id}", {}, "file"),
    ("POST /v1/chat/completions", {"json": CHAT}, "thread"),
    ("POST /v1/threads/{thread_id}/cancel", {}, "thread"),
    ("DELETE /v1/threads/{thread_id}", {}, "thread"),
]
CHANGES_NOTHING = {"POST /v1/data-sources/validate"}
READING = ("GET", "HEAD")


@pytest.mark.requirement("7.5")
def test_every_route_that_changes_something_tells_of_its_object(
    admin: httpx.Client, container: BlobContainer, unique: Callable[[str], str]
) -> None:
    mutating = {o for o in operations(admin) if o.partition(" ")[0] not in READING} - CHANGES_NOTHING
    assert mutating == {operation for operation, _, _ in STEPS}
    container.client.upload_blob("a.csv", b"n\n1\n")
    known = {"name": unique("matrix"), "config": key_config(container, read_only=False)}
    for n, (operation, more, kind) in enumerate(STEPS):
        method, _, template = operation.partition(" ")
        mine = {
            "id": known.get("data_source" if "data-sources" in template else kind, ""),
            "file_id": known.get("file", ""),
            "thread_id": known.get("thread", ""),
        }
        headers = {"X-Request-ID": f"{known['name']}-{n}"}
        answer = admin.request(method, template.format_map(mine), headers=headers, **filled(more, known))
        assert answer.status_code < 300 or template.endswith("/query"), (operation, answer.text)
        if method == "POST" and "{" not in template and "id" in answer.json():
            known.setdefault(kind, answer.json()["id"])
        if template.endswith("/fetch"):
            known["thread"] = answer.json()["thread_id"]
        wanted = {"object": known[kind]} if kind in known else {}
        moves = template.rpartition("/")[2] in ("fetch", "upload")  # between a source and a thread
        if moves:
            wanted["action"] = template.rpartition("/")[2]
        found = records_of(admin, headers["X-Request-ID"], **wanted)
        assert kind in [r["object_type"] for r in found], operation
        if moves:
            assert [r["source_id"] for r in found] == [known["data_source"]]
        assert "admin" not in [r["action"] for r in found]
        assert known["config"]["account_key"] not in json.dumps(found)


def filled(more: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """With what is `known` in place of its name in braces."""

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: fill(each) for name, each in value.items()}
        if isinstance(value, list):
            return [fill(each) for each in value]
        return known[value[1:-1]] if isinstance(value, str) and value.startswith("{") else value

    return {name: fill(value) for name, value in more.items()}


def test_what_was_done_to_an_object_is_found_by_its_id(
    admin: httpx.Client, unique: Callable[[str], str]
) -> None:
    user = admin.post("/v1/admin/users", json={"name": unique("eve"), "role": "analyst"}).json()
    path = f"/v1/admin/users/{user['name']}"
    admin.patch(path, json={"grants": [{"source_id": "*", "use": True}]})
    error_of(admin.patch(path, json={"name": "admin"}), 409, "already_exists", "name")
    error_of(admin.patch(path, json={"role": "king"}), 422, "invalid_request", "role")
    admin.delete(path)
    found = admin.get(AUDIT, params={"object": user["id"]}).json()["data"][::-1]
    assert [(r["action"], r["outcome"], r["code"]) for r in found] == [
        ("create", "ok", None),
        ("change", "ok", None),
        ("change", "failed", "already_exists"),
        ("delete", "ok", None),
    ]
    assert found[0]["details"] == {"name": user["name"], "role": "analyst", "grants": []}
    assert found[1]["details"] == {"grants": [{"source_id": "*", "use": True, "write": False}]}
    assert all(r["user_id"] and r["duration_ms"] >= 0 for r in found)
    [unread] = [r for r in records(admin, 0, action="admin") if r["details"]["path"] == path]
    assert (unread["outcome"], unread["details"]["status"]) == ("failed", 422)


def test_a_changed_source_is_told_with_the_names_of_its_fields(
    admin: httpx.Client, unique: Callable[[str], str]
) -> None:
    source = made(admin, unique("box"))["id"]
    wanted = {
        "name": unique("new"),
        "config": {"password": "canary-1", "toys": ["b.csv"]},
        "test_connection": False,
    }
    assert admin.patch(f"/v1/data-sources/{source}", json=wanted).status_code == 200
    [record] = records(admin, object=source, action="change")
    assert record["details"] == {"source_type": "toy", "new_name": wanted["name"], "fields": "password, toys"}
    assert "canary-1" not in json.dumps(record)


def test_who_did_it_may_be_named(admin: httpx.Client, unique: Callable[[str], str]) -> None:
    made = admin.post("/v1/admin/api-keys", json={"name": "laptop", "user": unique("eve")}).json()
    with httpx.Client(base_url=admin.base_url, headers={"api-key": made["key"]}) as eve:
        file = eve.post("/v1/files", files={"file": ("a.csv", b"n\n1\n")}).json()["id"]
    [record] = records(admin, user=made["user"])
    assert (record["action"], record["object_id"]) == ("create", file)
    assert record["user_id"] == made["user_id"]
    assert admin.delete(f"/v1/admin/users/{made['user']}").status_code == 200
    assert records(admin, user=made["user_id"], action="create") == [record]
    gone = error_of(admin.get(AUDIT, params={"user": made["user"]}), 422, "invalid_request", "user")
    assert "by id" in gone["message"]


def test_downloads_are_told_with_the_file(
    server: ThreadedServer, admin: httpx.Client, ada: httpx.Client, bob: httpx.Client
) -> None:
    file = ada.post("/v1/files", files={"file": ("a.csv", b"n\n1\n")}).json()["id"]
    chat = {
        "model": "deepanalyze-profiler",
        "messages": [{"role": "user", "content": "?", "file_ids": [file]}],
    }
    thread = ada.post("/v1/chat/completions", json=chat).json()["choices"][0]["message"]["thread_id"]
    [link] = [f for f in ada.get(f"/v1/threads/{thread}/files").json()["data"] if f["name"] == "a.csv"]
    assert ada.get(f"/v1/files/{file}/content", headers={"Range": "bytes=0-1"}).content == b"n\n"
    assert ada.head(f"/v1/files/{file}/content").status_code == 200
    assert ada.get(f"/v1/threads/{thread}/files/a.csv").content == b"n\n1\n"
    assert httpx.get(link["url"]).content == b"n\n1\n"
    assert httpx.get(link["url"] + "0", headers={"X-Request-ID": "forged-1"}).status_code == 403
    assert bob.get(f"/v1/files/{file}/content").status_code == 404
    assert bob.get(f"/v1/threads/{thread}/files/a.csv").status_code == 404

    of_file = [r for r in records(admin, 3, object=file) if r["action"] != "create"]
    assert [(r["action"], r["outcome"]) for r in of_file] == [("find", "refused"), ("download", "ok")]
    ada_id = of_file[1]["user_id"]
    assert of_file[1]["details"] == {"filename": "a.csv", "bytes": 2}
    downloads = records(admin, 2, object=thread, action="download")
    assert [r["user_id"] for r in downloads] == [None, ada_id]
    assert downloads[0]["details"] == {"path": "a.csv", "bytes": 4, "signed_link_of": ada_id}
    assert downloads[1]["details"] == {"path": "a.csv", "bytes": 4}
    assert downloads[0]["client_address"] == "127.0.0.1"
    [refused] = [r for r in records(admin, 1, action="request") if r["request_id"] == "forged-1"]
    assert refused["details"]["path"] == f"/v1/threads/{thread}/files/a.csv"
    assert [r["outcome"] for r in records(admin, 1, object=thread, action="find")] == ["refused"]
