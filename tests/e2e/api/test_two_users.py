"""Two users over every route and method, as the OpenAPI document lists them, so that a new route cannot be
forgotten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support.server import ThreadedServer
from tests.support.services import BlobContainer

MARK = "canary-of-ada"

# Of what belongs to nobody: everybody with a key gets the same.
COMMON = {
    "GET /health",
    "GET /health/ready",
    "GET /metrics",
    "GET /v1/models",
    "GET /v1/models/{model_id}",
    "GET /v1/data-sources/templates",
    "GET /v1/data-sources/templates/{type}",
    "POST /v1/data-sources/validate",
    "POST /v1/files",
    "POST /v1/data-sources",
}
# What a request needs besides the ids in its path, where `{…}` names what is Ada's.
BODIES: Mapping[str, Any] = {
    "PATCH /v1/data-sources/{id}": {"metadata": {"taken": True}},
    "POST /v1/data-sources/{id}/query": {"sql": "SELECT 1"},
    "POST /v1/data-sources/{id}/fetch": {"path": "secret.csv"},
    "POST /v1/data-sources/{id}/upload": {"thread_id": "{thread_id}", "file": "secret.csv", "path": "stolen"},
    "POST /v1/chat/completions": {
        "model": "deepanalyze-profiler",
        "messages": [
            {
                "role": "user",
                "content": "What is in the data?",
                "thread_id": "{thread_id}",
                "file_ids": ["{file_id}"],
                "data_sources": [{"source_id": "{id}", "path": "secret.csv"}],
            }
        ],
    },
}
LISTS = ("GET /v1/files", "GET /v1/data-sources", "GET /v1/threads")


@dataclass(frozen=True)
class Belongings:
    """Ada's: a source, a thread with a fetched file, and an uploaded file. All of them hold MARK."""

    ids: Mapping[str, str]
    owner: httpx.Client


@pytest.fixture
def belongings(
    ada: httpx.Client, container: BlobContainer, unique: Callable[[str], str]
) -> Iterator[Belongings]:
    container.client.upload_blob("secret.csv", f"name\n{MARK}\n".encode())
    config = {"container_name": container.name, "connection_string": container.connection_string}
    body = {"type": "azure_blob", "name": unique("private"), "config": config, "metadata": {"note": MARK}}
    source = ada.post("/v1/data-sources", json=body).json()["id"]
    fetched = ada.post(f"/v1/data-sources/{source}/fetch", json={"path": "secret.csv"})
    thread = fetched.json()["thread_id"]
    upload = {"file": ("secret.csv", f"name\n{MARK}\n".encode())}
    file = ada.post("/v1/files", files=upload, data={"purpose": "assistants"}).json()["id"]
    yield Belongings({"id": source, "thread_id": thread, "file_id": file, "path": "secret.csv"}, ada)
    ada.delete(f"/v1/data-sources/{source}")


def operations(client: httpx.Client) -> list[str]:
    paths = client.get("/openapi.json").json()["paths"]
    return sorted(f"{method.upper()} {path}" for path, methods in paths.items() for method in methods)


def request(client: httpx.Client, operation: str, ids: Mapping[str, str]) -> httpx.Response:
    method, _, template = operation.partition(" ")
    path = re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], "unknown"), template)
    body = BODIES.get(operation)
    if body is not None:
        body = json.loads(re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], json.dumps(body)))
    params = {"path": ids["path"]} if template.endswith(("/metadata", "/preview", "/statistics")) else {}
    return client.request(method, path, json=body, params=params)


def whole(client: httpx.Client, belongings: Belongings) -> dict[str, Any]:
    """Ada's things, as she sees them."""
    ids = belongings.ids
    return {
        "source": client.get(f"/v1/data-sources/{ids['id']}").json(),
        "preview": client.get(f"/v1/data-sources/{ids['id']}/preview", params={"path": "secret.csv"}).json(),
        "file": client.get(f"/v1/files/{ids['file_id']}/content").text,
        "threads": client.get(f"/v1/threads/{ids['thread_id']}/files/secret.csv").text,
        "messages": client.get(f"/v1/threads/{ids['thread_id']}/messages").json(),
    }


def test_another_user_reaches_nothing_that_is_ada_s(
    server: ThreadedServer, belongings: Belongings, bob: httpx.Client
) -> None:
    before = whole(belongings.owner, belongings)
    assert MARK in before["file"] + before["threads"] + json.dumps(before["source"])
    for operation in operations(bob):
        if operation in COMMON:
            continue
        answer = request(bob, operation, belongings.ids)
        if operation in LISTS:
            assert answer.status_code == 200
            assert answer.json()["data"] == [], operation
        elif " /v1/admin/" in operation:
            assert answer.status_code == 403, (operation, answer.text)
        else:
            assert answer.status_code == 404, (operation, answer.status_code, answer.text)
        assert MARK not in answer.text, operation
    assert whole(belongings.owner, belongings) == before


def test_without_a_key_there_is_nothing(belongings: Belongings, anonymous: httpx.Client) -> None:
    for operation in operations(anonymous):
        if " /v1/" in operation:
            answer = request(anonymous, operation, belongings.ids)
            assert answer.status_code == 401, (operation, answer.text)
            assert MARK not in answer.text


def test_its_owner_reaches_everything(belongings: Belongings) -> None:
    """Or the two tests above would prove nothing: the requests are right, only their sender is not."""
    client = belongings.owner
    last = ("DELETE /v1/data-sources/{id}", "DELETE /v1/files/{file_id}", "DELETE /v1/threads/{thread_id}")
    # What blobs do not have
    blobs = {"GET /v1/data-sources/{id}/schema", "POST /v1/data-sources/{id}/query"}
    upload = "POST /v1/data-sources/{id}/upload"  # of a source that is read-only
    for operation in [*(o for o in operations(client) if o not in last), *last]:
        if operation in COMMON or " /v1/admin/" in operation:
            continue
        expected = {400} if operation in blobs else {403} if operation == upload else {200}
        answer = request(client, operation, belongings.ids)
        assert answer.status_code in expected, (operation, answer.status_code, answer.text[:300])
