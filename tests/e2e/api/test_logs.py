"""What the server's log tells about a request, and what it never tells."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import httpx
import pytest

from tests.support.logs import captured_logs
from tests.support.server import ThreadedServer
from tests.support.toysource import PASSWORD


@pytest.mark.requirement("7.5")
def test_every_record_of_a_request_has_time_request_and_user(
    server: ThreadedServer, ada: httpx.Client, anonymous: httpx.Client, unique: Callable[[str], str]
) -> None:
    body = {"type": "toy", "name": unique("box"), "config": {"toys": ["a.csv"], "password": PASSWORD}}
    with captured_logs() as stream:
        made = ada.post("/v1/data-sources", json=body, headers={"X-Request-ID": "create-1"}).json()
        path = f"/v1/data-sources/{made['id']}/fetch"
        thread = ada.post(path, json={"path": "a.csv"}, headers={"X-Request-ID": "fetch-1"}).json()[
            "thread_id"
        ]
        ada.post(path, json={"path": "missing"}, headers={"X-Request-ID": "fetch-2"})
        [file] = ada.get(f"/v1/threads/{thread}/files").json()["data"]
        assert anonymous.get(file["url"]).status_code == 200
        # The server's thread writes the record once the answer is sent, and the client may be quicker than that.
        while stream.getvalue().count('"event": "request"') < 5:
            time.sleep(0.005)
    text = stream.getvalue()
    records = [json.loads(line) for line in text.splitlines()]
    assert all(record["timestamp"] for record in records)
    operations = [record for record in records if record["event"] == "source operation"]
    assert [(record["request_id"], record["operation"], record["outcome"]) for record in operations] == [
        ("create-1", "create", "ok"),
        ("fetch-1", "fetch", "ok"),
        ("fetch-2", "fetch", "failed"),
    ]
    assert {record["user_id"] for record in operations} == {made["created_by"]}
    requests = [record for record in records if record["event"] == "request"]
    assert [record["status"] for record in requests] == [201, 200, 404, 200, 200]
    assert all(record["request_id"] for record in requests)
    assert "signature" not in text
    assert PASSWORD not in text
    assert server.admin_key not in text
