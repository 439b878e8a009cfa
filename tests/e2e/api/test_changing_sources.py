"""Changing a source over the API, and being guided while one is described."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from deepanalyze.accounts import Grant
from tests.support.canaries import canary
from tests.support.server import ThreadedServer, bearer
from tests.support.services import PostgresDatabase

SECRET = canary("changed password")


@pytest.fixture
def source(
    admin: httpx.Client, postgres_database: PostgresDatabase, unique: Callable[[str], str]
) -> Iterator[dict[str, Any]]:
    body = {"type": "postgresql", "name": unique("change"), "config": postgres_database.analyst_config}
    made = admin.post("/v1/data-sources", json=body)
    assert made.status_code == 201, made.text
    assert made.headers["etag"] == '"1"'
    yield made.json()
    admin.delete(f"/v1/data-sources/{made.json()['id']}")


def patch(
    client: httpx.Client, source: dict[str, Any], body: dict[str, Any], **headers: str
) -> httpx.Response:
    return client.patch(f"/v1/data-sources/{source['id']}", json=body, headers=headers)


@pytest.mark.requirement("3.1")
def test_what_is_left_out_is_kept_secrets_too(admin: httpx.Client, source: dict[str, Any]) -> None:
    changed = patch(admin, source, {"config": {"query_timeout_s": 60}, "metadata": {"team": "sales"}})
    assert changed.status_code == 200, changed.text
    assert changed.headers["etag"] == '"2"'
    body = changed.json()
    assert body["config"] == {**source["config"], "query_timeout_s": 60.0}
    assert (body["metadata"], body["status"]) == ({"team": "sales"}, "ok")
    assert body["config"]["password"] == "********"
    tested = admin.post(f"/v1/data-sources/{source['id']}/test").json()
    assert tested["status"] == "success", tested
    taken = patch(admin, source, {"config": {"query_timeout_s": None, "password": "********"}})
    assert taken.json()["config"] == source["config"]
    assert admin.post(f"/v1/data-sources/{source['id']}/test").json()["status"] == "success"


def test_a_change_that_fails_changes_nothing(admin: httpx.Client, source: dict[str, Any]) -> None:
    before = admin.get(f"/v1/data-sources/{source['id']}")
    for body, status, code in (
        ({"config": {"password": f"{SECRET}-wrong"}}, 424, "source_authentication_failed"),
        ({"config": {"prot": 1}}, 422, "invalid_request"),
        ({"name": "Not A Name"}, 422, "invalid_request"),
        ({"nam": "x"}, 422, "invalid_request"),
        ({"config": {"password": "${env:HOME}"}}, 403, "permission_denied"),
    ):
        refused = patch(admin, source, body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (status, code), refused.text
        assert SECRET not in refused.text
    after = admin.get(f"/v1/data-sources/{source['id']}")
    assert (after.json(), after.headers["etag"]) == (before.json(), before.headers["etag"])
    untested = patch(admin, source, {"config": {"password": f"{SECRET}-wrong"}, "test_connection": False})
    assert untested.json()["status"] == "untested"
    assert admin.post(f"/v1/data-sources/{source['id']}/test").json()["status"] == "failure"


def test_the_new_connection_is_used_at_once(
    admin: httpx.Client, source: dict[str, Any], postgres_database: PostgresDatabase
) -> None:
    query = f"/v1/data-sources/{source['id']}/query"
    asked = {"sql": "SELECT current_setting('application_name')"}
    assert admin.post(query, json=asked).status_code == 200
    patch(admin, source, {"config": {"application_name": "after the change"}})
    assert admin.post(query, json=asked).json()["rows"] == [["after the change"]]


def test_a_name_is_changed_and_stays_unique(
    admin: httpx.Client, source: dict[str, Any], unique: Callable[[str], str]
) -> None:
    name = unique("renamed")
    assert patch(admin, source, {"name": name}).json()["name"] == name
    assert admin.get(f"/v1/data-sources/{name}").status_code == 200
    assert admin.get(f"/v1/data-sources/{source['name']}").status_code == 404
    assert patch(admin, source, {"name": name}).status_code == 200  # its own
    other = admin.post(
        "/v1/data-sources",
        json={
            "type": "toy",
            "name": unique("other"),
            "config": {"toys": ["ball"], "password": "x"},
            "test_connection": False,
        },
    ).json()
    taken = patch(admin, source, {"name": other["name"]})
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "already_exists")


def test_if_match_guards_against_changes_of_others(admin: httpx.Client, source: dict[str, Any]) -> None:
    tag = admin.get(f"/v1/data-sources/{source['id']}").headers["etag"]
    assert patch(admin, source, {"metadata": {"a": 1}}, **{"If-Match": tag}).status_code == 200
    stale = patch(admin, source, {"metadata": {"a": 2}}, **{"If-Match": tag})
    assert (stale.status_code, stale.json()["error"]["code"]) == (412, "stale")
    assert patch(admin, source, {"metadata": {"a": 3}}, **{"If-Match": "*"}).status_code == 200
    odd = patch(admin, source, {"metadata": {}}, **{"If-Match": '"abc"'})
    assert (odd.status_code, odd.json()["error"]["param"]) == (422, "If-Match")


async def test_of_changes_at_once_none_is_lost(server: ThreadedServer, source: dict[str, Any]) -> None:
    async with httpx.AsyncClient(base_url=server.url, headers=bearer(server.admin_key), timeout=60) as client:
        answers = await asyncio.gather(
            *(
                client.patch(f"/v1/data-sources/{source['id']}", json={"metadata": {"n": n}})
                for n in range(10)
            )
        )
        final = await client.get(f"/v1/data-sources/{source['id']}")
    done = [answer for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} <= {200, 412}
    assert final.headers["etag"] == f'"{1 + len(done)}"'


def test_who_may_change(
    server: ThreadedServer, source: dict[str, Any], user: Callable[..., str], ada: httpx.Client
) -> None:
    with server.client(user([Grant(source["id"], use=True, write=True)])) as granted:
        refused = patch(granted, source, {"metadata": {}})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
    assert patch(ada, source, {"metadata": {}}).status_code == 404


def test_secrets_of_a_private_source_go_nowhere_else(
    admin: httpx.Client, ada: httpx.Client, postgres_database: PostgresDatabase, unique: Callable[[str], str]
) -> None:
    body = {"type": "postgresql", "name": unique("hers"), "config": postgres_database.analyst_config}
    source = ada.post("/v1/data-sources", json=body).json()
    path = f"/v1/data-sources/{source['id']}"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        moved = {"host": "127.0.0.1", "port": listener.getsockname()[1]}
        for change in ({"config": moved}, {"name": unique("mine")}, {"config": {"read_only": False}}):
            for tested in (True, False):
                refused = patch(admin, source, {**change, "test_connection": tested})
                assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
        assert admin.post(f"{path}/test").status_code == 403
        with pytest.raises(BlockingIOError):  # nobody called
            listener.accept()
    assert ada.get(path).json() == admin.get(path).json() == source
    assert admin.delete(path).status_code == 200


@pytest.mark.requirement("9.3")
@pytest.mark.parametrize(
    ("body", "valid", "missing", "next"),
    [
        ({}, False, [], "which type of source is it? there are: azure_blob"),
        ({"type": "postgres"}, False, [], "postgresql"),
        ({"type": "local_file"}, False, ["root"], "fill in config.root: The directory to read"),
        ({"type": "local_file", "config": {"rot": "/srv"}}, False, ["root"], "did you mean 'root'?"),
        ({"type": "local_file", "config": {"root": "srv"}}, False, [], "must be an absolute path"),
        ({"type": "local_file", "config": {"path": "/srv"}}, True, [], "give the source a name"),
        (
            {"type": "local_file", "name": "A b", "config": {"root": "/srv"}},
            False,
            [],
            "name 'A b' must begin",
        ),
        ({"type": "local_file", "name": "files", "config": {"root": "/srv"}}, True, [], "create it"),
        ({"type": "azure_blob", "config": {"container": "abc"}}, False, [], "nothing says how to reach"),
    ],
)
def test_a_description_is_guided(
    admin: httpx.Client, body: dict[str, Any], valid: bool, missing: list[str], next: str
) -> None:
    answer = admin.post("/v1/data-sources/validate", json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["valid"], found["missing"]) == (valid, missing)
    assert next in found["next"]
    assert "name name" not in found["next"]
    assert bool(found["errors"]) == (not valid and not (missing and "did you" not in next))


def test_validating_repeats_no_secret(admin: httpx.Client) -> None:
    config = {"host": "db", "password": SECRET, "connection_string": f"{SECRET}://x"}
    body = {"type": "postgresql", "config": config}
    answer = admin.post("/v1/data-sources/validate", json=body)
    assert answer.json()["valid"] is False
    assert SECRET not in answer.text
