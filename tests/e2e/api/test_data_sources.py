"""Data sources over HTTP, on a real database and a real container."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest

from deepanalyze.accounts import Grant
from tests.support.answers import error_of
from tests.support.server import NO_TLS, ThreadedServer
from tests.support.services import BlobContainer, PostgresDatabase
from tests.support.toysource import PASSWORD

TOYS = {"toys": ["b.csv", "a.csv"], "password": PASSWORD}


def toy(client: httpx.Client, name: str, **more: Any) -> dict[str, Any]:
    answer = client.post("/v1/data-sources", json={"type": "toy", "name": name, "config": TOYS, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture
def orders(postgres_database: PostgresDatabase) -> PostgresDatabase:
    with psycopg.connect(postgres_database.admin_dsn, autocommit=True) as admin:
        admin.execute("CREATE TABLE orders (id int PRIMARY KEY, item text, price numeric(6,2))")
        admin.execute("INSERT INTO orders SELECT n, 'item ' || n, n * 1.5 FROM generate_series(1, 40) n")
    return postgres_database


@pytest.fixture
def database(admin: httpx.Client, orders: PostgresDatabase, unique: Callable[[str], str]) -> dict[str, Any]:
    body = {
        "type": "postgresql",
        "name": unique("db"),
        "config": orders.analyst_config,
        "metadata": {"team": "ops"},
    }
    answer = admin.post("/v1/data-sources", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture
def blobs(admin: httpx.Client, container: BlobContainer, unique: Callable[[str], str]) -> dict[str, Any]:
    for name in ("top.csv", "sales/2024/1.csv", "sales/2024/2.csv", "sales/2025/ü ☃.csv"):
        container.client.upload_blob(name, f"name\n{name}\n")
    config = {"container_name": container.name, "connection_string": container.connection_string}
    body = {"type": "azure_blob", "name": unique("blobs"), "config": config}
    answer = admin.post("/v1/data-sources", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.mark.requirement("3.6")
@pytest.mark.requirement("3.2")
def test_sources_are_shown_with_their_metadata_and_without_secrets(
    admin: httpx.Client,
    database: dict[str, Any],
    blobs: dict[str, Any],
    orders: PostgresDatabase,
    container: BlobContainer,
) -> None:
    answers = [
        admin.get("/v1/data-sources?limit=1000"),
        *(admin.get(f"/v1/data-sources/{made[key]}") for made in (database, blobs) for key in ("id", "name")),
    ]
    listed = {source["id"]: source for source in answers[0].json()["data"]}
    assert listed[database["id"]]["metadata"] == {"team": "ops"}
    assert listed[database["id"]]["config"]["host"] == orders.analyst_config["host"]
    assert listed[database["id"]]["config"]["password"] == "********"
    assert listed[blobs["id"]]["config"]["container_name"] == container.name
    for answer in answers:
        assert answer.status_code == 200
        assert orders.analyst_config["password"] not in answer.text
        assert container.account_key not in answer.text


def test_a_source_object_has_every_field(database: dict[str, Any]) -> None:
    expected = {"id", "object", "type", "name", "config", "metadata", "read_only", "created_at", "updated_at"}
    assert set(database) == expected | {"created_by", "shared", "origin", "status", "last_tested_at"}
    assert database["id"].startswith("ds-")
    assert (database["object"], database["read_only"], database["shared"]) == ("data_source", True, True)
    assert (database["origin"], database["status"]) == ("api", "ok")


@pytest.mark.requirement("3.4")
def test_testing_tells_whether_the_source_answers(
    admin: httpx.Client, database: dict[str, Any], blobs: dict[str, Any], orders: PostgresDatabase
) -> None:
    for source in (database, blobs):
        result = admin.post(f"/v1/data-sources/{source['id']}/test").json()
        assert (result["id"], result["status"], result["error"]) == (source["id"], "success", None)
        assert result["latency_ms"] > 0
    assert admin.post(f"/v1/data-sources/{database['name']}/test").json()["server"]["version"]
    wrong = {**orders.analyst_config, "password": "not the password"}
    body = {"type": "postgresql", "name": f"{database['name']}x", "config": wrong, "test_connection": False}
    made = admin.post("/v1/data-sources", json=body).json()
    answer = admin.post(f"/v1/data-sources/{made['id']}/test")
    assert answer.status_code == 200
    assert answer.json()["status"] == "failure"
    assert answer.json()["error"]["code"] == "source_authentication_failed"
    assert "not the password" not in answer.text
    assert admin.get(f"/v1/data-sources/{made['id']}").json()["status"] == "error"


@pytest.mark.requirement("1.5")
def test_a_source_that_does_not_connect_is_not_stored_and_the_answer_says_why(
    admin: httpx.Client, orders: PostgresDatabase, container: BlobContainer, unique: Callable[[str], str]
) -> None:
    name = unique("wrong")
    refused = {**orders.analyst_config, "password": "wrong"}
    key = "d3Jvbmcgd3Jvbmcgd3Jvbmc="
    blob = {
        "container_name": container.name,
        "account_url": f"{container.blob_endpoint}",
        "account_key": key,
    }
    for type_name, config, code in (
        ("postgresql", refused, "source_authentication_failed"),
        ("postgresql", {**orders.analyst_config, "port": 1}, "source_unavailable"),
        ("azure_blob", blob, "source_authentication_failed"),
    ):
        answer = admin.post("/v1/data-sources", json={"type": type_name, "name": name, "config": config})
        error_of(answer, 424, code)
        assert key not in answer.text
        error_of(admin.get(f"/v1/data-sources/{name}"), 404, "not_found", "source_id")


@pytest.mark.requirement("3.3")
def test_deleting_forgets_the_source_and_ends_its_connections(
    admin: httpx.Client, database: dict[str, Any], orders: PostgresDatabase
) -> None:
    path = f"/v1/data-sources/{database['id']}"

    def connections() -> int:
        with psycopg.connect(orders.admin_dsn) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND datname = %s",
                (orders.analyst_config["user"], orders.name),
            ).fetchone()
        assert row is not None
        return int(row[0])

    assert admin.get(f"{path}/browse").status_code == 200
    assert connections() > 0
    assert admin.delete(path).json() == {"id": database["id"], "object": "data_source", "deleted": True}
    while connections():  # the server notices a closed socket in its own time
        pass
    for answer in (
        admin.get(path),
        admin.delete(path),
        admin.get(f"{path}/browse"),
        admin.post(f"{path}/test"),
    ):
        error_of(answer, 404, "not_found", "source_id")
    assert database["id"] not in admin.get("/v1/data-sources?limit=1000").text


def test_browsing_a_container(admin: httpx.Client, blobs: dict[str, Any]) -> None:
    path = f"/v1/data-sources/{blobs['id']}/browse"
    top = admin.get(path).json()["data"]
    assert [(item["kind"], item["path"]) for item in top] == [("folder", "sales/"), ("blob", "top.csv")]
    assert top[1]["size"] == len("name\ntop.csv\n")
    assert isinstance(top[1]["modified_at"], int)
    below = admin.get(path, params={"path": "sales/", "recursive": "true"}).json()["data"]
    assert "sales/2025/ü ☃.csv" in [item["path"] for item in below]
    error_of(admin.get(path, params={"path": "sales/\0"}), 422, "invalid_request", "path")


def test_browsing_pages(admin: httpx.Client, blobs: dict[str, Any]) -> None:
    path = f"/v1/data-sources/{blobs['id']}/browse"
    found, params = [], {"recursive": "true", "limit": "1"}
    while True:
        page = admin.get(path, params=params).json()
        found += [item["path"] for item in page["data"] if item["kind"] == "blob"]
        if not page["has_more"]:
            break
        params["cursor"] = page["next_cursor"]
    assert found == ["sales/2024/1.csv", "sales/2024/2.csv", "sales/2025/ü ☃.csv", "top.csv"]


def test_browsing_a_database(admin: httpx.Client, database: dict[str, Any]) -> None:
    path = f"/v1/data-sources/{database['name']}/browse"
    assert "public" in [item["path"] for item in admin.get(path).json()["data"]]
    [table] = admin.get(path, params={"path": "public"}).json()["data"]
    assert (table["name"], table["kind"]) == ("orders", "table")


def test_fetching_makes_a_thread_with_the_files(
    admin: httpx.Client, database: dict[str, Any], blobs: dict[str, Any]
) -> None:
    path = f"/v1/data-sources/{database['id']}/fetch"
    query = {"query": "SELECT item FROM orders ORDER BY id", "max_rows": 3, "save_as": "my orders.csv"}
    first = admin.post(path, json=query).json()
    [file] = first["files"]
    assert (file["file"], file["rows"], file["truncated"]) == ("my orders.csv", 3, True)
    assert (file["source_id"], file["type"]) == (database["id"], "postgresql")
    thread = first["thread_id"]
    again = admin.post(
        f"/v1/data-sources/{blobs['name']}/fetch", json={"path": "sales/**/*.csv", "thread_id": thread}
    ).json()
    assert again["thread_id"] == thread
    assert len(again["files"]) == 3
    text = admin.get(f"/v1/threads/{thread}/files/my%20orders.csv").text
    assert text.splitlines() == ["item", "item 1", "item 2", "item 3"]
    names = {file["name"] for file in admin.get(f"/v1/threads/{thread}/files").json()["data"]}
    assert names == {"my orders.csv", *(file["file"] for file in again["files"])}


@pytest.mark.requirement("2.5")
def test_a_query_that_fails_tells_the_servers_own_words(
    admin: httpx.Client, database: dict[str, Any]
) -> None:
    threads = [thread["id"] for thread in admin.get("/v1/threads").json()["data"]]
    answer = admin.post(
        f"/v1/data-sources/{database['id']}/fetch", json={"query": "SELECT pirce FROM orders"}
    )
    error = error_of(answer, 400, "query_failed", answer.json()["error"]["param"])
    assert error["details"][0]["sqlstate"] == "42703"
    assert 'column "pirce" does not exist' in error["details"][0]["message"]
    left = [thread["id"] for thread in admin.get("/v1/threads").json()["data"]]
    assert left == threads, "a failed fetch leaves no thread behind"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"query": "DELETE FROM orders"}, 403, "read_only_violation"),
        ({"query": "SELECT 1; SELECT 2"}, 403, "read_only_violation"),
        ({"table": "nothing"}, 404, "table_not_found"),
        ({"path": "a.csv"}, 400, "not_supported"),
        ({}, 422, "invalid_request"),
        ({"table": "nothing", "thread_id": ""}, 404, "table_not_found"),
        ({"table": "orders", "thread_id": "thread-of-somebody"}, 404, "not_found"),
    ],
)
def test_what_cannot_be_fetched(
    admin: httpx.Client, database: dict[str, Any], body: dict[str, Any], status: int, code: str
) -> None:
    newest = [thread["id"] for thread in admin.get("/v1/threads?limit=1").json()["data"]]
    answer = admin.post(f"/v1/data-sources/{database['id']}/fetch", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert [thread["id"] for thread in admin.get("/v1/threads?limit=1").json()["data"]] == newest


def test_closing_the_connection_stops_the_query(
    admin: httpx.Client, orders: PostgresDatabase, unique: Callable[[str], str]
) -> None:
    name = unique("slow")
    config = {**orders.analyst_config, "query_timeout_s": 600}
    made = admin.post("/v1/data-sources", json={"type": "postgresql", "name": name, "config": config})
    assert made.status_code == 201, made.text
    endless = "SELECT count(*) FROM orders a, orders b, orders c, orders d, orders e, orders f, orders g"

    async def until_it_runs(watcher: psycopg.AsyncConnection[Any], wanted: bool) -> None:
        runs = None
        while runs is not wanted:
            found = await watcher.execute(
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = %s AND state = 'active' "
                "AND query LIKE '%%orders g%%' AND pid <> pg_backend_pid()",
                (orders.name,),
            )
            [runs] = await found.fetchone() or [None]

    async def leave() -> None:
        async with (
            await psycopg.AsyncConnection.connect(orders.admin_dsn, autocommit=True) as watcher,
            httpx.AsyncClient(
                base_url=admin.base_url, headers=admin.headers, timeout=60, verify=NO_TLS
            ) as client,
        ):
            fetching = asyncio.create_task(
                client.post(f"/v1/data-sources/{name}/fetch", json={"query": endless})
            )
            await until_it_runs(watcher, True)
            fetching.cancel()
            async with asyncio.timeout(60):  # well below the query's own limit
                await until_it_runs(watcher, False)

    asyncio.run(leave())


@pytest.mark.requirement("1.6")
def test_a_blob_that_is_not_there_is_named(admin: httpx.Client, blobs: dict[str, Any]) -> None:
    for path in ("sales/2099.csv", "nothing/*.csv"):
        answer = admin.post(f"/v1/data-sources/{blobs['id']}/fetch", json={"path": path})
        assert path in error_of(answer, 404, "blob_not_found", answer.json()["error"]["param"])["message"]


@pytest.mark.requirement("9.1")
@pytest.mark.requirement("9.2")
@pytest.mark.requirement("9.4")
def test_templates_explain_each_type(admin: httpx.Client) -> None:
    templates = {
        template["type"]: template for template in admin.get("/v1/data-sources/templates").json()["data"]
    }
    for type_name, secret in (("postgresql", "password"), ("azure_blob", "account_key")):
        template = templates[type_name]
        assert admin.get(f"/v1/data-sources/templates/{type_name}").json() == template
        assert template["examples"]
        assert all(example["config"] for example in template["examples"])
        properties = template["schema"]["properties"]
        assert all(field.get("description") for field in properties.values()), type_name
        assert "writeOnly" in str(properties[secret])
    assert templates["postgresql"]["sample_queries"]
    assert templates["azure_blob"]["path_patterns"]
    error_of(admin.get("/v1/data-sources/templates/nope"), 404, "not_found", "type")


@pytest.mark.requirement("9.3")
@pytest.mark.parametrize("type_name", ["postgresql", "azure_blob"])
def test_a_templates_examples_are_valid_and_what_is_missing_is_explained(
    admin: httpx.Client, unique: Callable[[str], str], type_name: str
) -> None:
    template = admin.get(f"/v1/data-sources/templates/{type_name}").json()
    for example in template["examples"]:
        name = unique(type_name.replace("_", "-"))
        body = {"type": type_name, "name": name, "config": example["config"], "test_connection": False}
        answer = admin.post("/v1/data-sources", json=body)
        assert answer.status_code == 201, answer.text
    empty = {"type": type_name, "name": unique("empty"), "config": {}}
    answer = admin.post("/v1/data-sources", json=empty)
    error = error_of(answer, 422, "invalid_request", answer.json()["error"]["param"])
    assert error["details"]
    assert any(word in error["message"] for word in ("host", "container_name"))


def test_taken_names(admin: httpx.Client, ada: httpx.Client, unique: Callable[[str], str]) -> None:
    name = unique("taken")
    made = toy(admin, name)
    body = {"type": "toy", "name": name, "config": TOYS}
    error_of(admin.post("/v1/data-sources", json=body), 409, "already_exists", "name")
    error_of(
        admin.post("/v1/data-sources", json={**body, "name": unique("x"), "id": name}),
        409,
        "already_exists",
        "id",
    )
    assert admin.get(f"/v1/data-sources/{name}").json()["id"] == made["id"]


def test_the_list_pages_and_filters(admin: httpx.Client, unique: Callable[[str], str]) -> None:
    names = {toy(admin, unique("page"))["name"] for _ in range(5)}
    found, params = set(), {"type": "toy", "limit": "2"}
    while True:
        page = admin.get("/v1/data-sources", params=params).json()
        assert {source["type"] for source in page["data"]} <= {"toy"}
        found |= {source["name"] for source in page["data"]}
        if not page["has_more"]:
            break
        params["cursor"] = page["next_cursor"]
    assert names <= found


def test_two_analysts(
    server: ThreadedServer,
    admin: httpx.Client,
    ada: httpx.Client,
    bob: httpx.Client,
    user: Callable[..., str],
    unique: Callable[[str], str],
) -> None:
    private = toy(ada, unique("private"))
    shared = toy(admin, unique("shared"))
    assert not private["shared"]
    assert shared["shared"]
    for stranger, hidden in ((bob, private), (bob, shared), (ada, shared)):
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/browse")):
            answer = stranger.request(method, f"/v1/data-sources/{hidden['id']}{path}")
            error_of(answer, 404, "not_found", "source_id")
        answer = stranger.post(f"/v1/data-sources/{hidden['id']}/fetch", json={"path": "a.csv"})
        error_of(answer, 404, "not_found", "source_id")
        assert hidden["id"] not in stranger.get("/v1/data-sources?limit=1000").text
    with server.client(user([Grant(shared["id"])])) as granted:
        assert granted.get(f"/v1/data-sources/{shared['name']}/browse").status_code == 200
        error_of(granted.delete(f"/v1/data-sources/{shared['id']}"), 403, "permission_denied")
    assert ada.post(f"/v1/data-sources/{private['id']}/test").json()["status"] == "success"


def test_analysts_bring_their_own_credentials(
    ada: httpx.Client, server: ThreadedServer, unique: Callable[[str], str]
) -> None:
    body = {"type": "toy", "name": unique("mine"), "config": {**TOYS, "server_path": "/etc"}}
    error_of(ada.post("/v1/data-sources", json=body), 403, "permission_denied", "config.server_path")
    body = {
        "type": "postgresql",
        "name": unique("mine"),
        "config": {"socket_dir": "/tmp", "database": "d", "user": "u"},
    }
    error_of(ada.post("/v1/data-sources", json=body), 403, "permission_denied", "config.socket_dir")


def test_odd_values_are_kept_as_they_are(admin: httpx.Client, unique: Callable[[str], str]) -> None:
    odd = {"☃": ["\u0000", "'; DROP TABLE x;--", 1.5, None, {"deep": [True]}], "": "empty"}
    made = toy(admin, unique("odd"), metadata=odd)
    assert admin.get(f"/v1/data-sources/{made['id']}").json()["metadata"] == odd


@pytest.mark.parametrize("name", ["☃", "a b", "../x", "A", "x" * 42, "ds-x", "templates", "", "a/b"])
def test_bad_names(admin: httpx.Client, name: str) -> None:
    error_of(
        admin.post("/v1/data-sources", json={"type": "toy", "name": name, "config": TOYS}),
        422,
        "invalid_request",
        "name",
    )
