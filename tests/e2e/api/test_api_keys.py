"""API keys as administrators make, list and revoke them."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.e2e.api.test_users import KEYS, USERS, Names, make_toy, make_user
from tests.support.answers import error_of
from tests.support.logs import captured_logs
from tests.support.server import ThreadedServer


def make_key(admin: httpx.Client, user: str, **more: object) -> dict[str, object]:
    answer = admin.post(KEYS, json={"name": "laptop", "user": user, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, object] = answer.json()
    return made


def names(client: httpx.Client) -> set[str]:
    return {source["name"] for source in client.get("/v1/data-sources?limit=1000").json()["data"]}


def test_a_key_is_shown_once_and_never_again(
    server: ThreadedServer, admin: httpx.Client, unique: Names
) -> None:
    with captured_logs() as log:
        made = make_key(admin, make_user(admin, unique("ada")))
    key = str(made.pop("key"))
    assert key.startswith(str(made["prefix"]))
    assert made["last_used_at"] is None
    with server.client(key) as ada:
        assert ada.get("/v1/models").status_code == 200
    got = admin.get(f"{KEYS}/{made['id']}").json()
    assert abs(got.pop("last_used_at") - time.time()) < 60
    assert got == {name: value for name, value in made.items() if name != "last_used_at"}
    for text in (admin.get(KEYS, params={"limit": 1000}).text, json.dumps(got), log.getvalue()):
        assert key not in text
        assert key[len(str(made["prefix"])) :] not in text


def test_keys_are_listed_in_pages_of_one_user_or_all(admin: httpx.Client, unique: Names) -> None:
    name = unique("ada")
    made = [make_key(admin, name)["id"] for _ in range(3)]
    first = admin.get(KEYS, params={"user": name, "limit": 2}).json()
    assert first["has_more"] is True
    second = admin.get(KEYS, params={"user": name, "limit": 2, "cursor": first["next_cursor"]}).json()
    assert (second["has_more"], second["next_cursor"]) == (False, None)
    assert {key["id"] for key in first["data"] + second["data"]} == set(made)
    assert {key["user"] for key in first["data"]} == {name}
    everybody = admin.get(KEYS, params={"limit": 1000}).json()["data"]
    assert set(made) < {key["id"] for key in everybody}
    error_of(admin.get(KEYS, params={"user": "nobody"}), 404, "not_found", "user")


def test_a_revoked_key_is_refused_at_once(server: ThreadedServer, admin: httpx.Client, unique: Names) -> None:
    made = make_key(admin, unique("ada"))
    with server.client(str(made["key"])) as ada:
        assert ada.get("/v1/models").status_code == 200
        revoked = admin.delete(f"{KEYS}/{made['id']}").json()
        assert (revoked["id"], revoked["object"], revoked["deleted"]) == (made["id"], "api_key", True)
        assert "revoked" in error_of(ada.get("/v1/models"), 401, "invalid_api_key")["message"]
    assert admin.delete(f"{KEYS}/{made['id']}").json()["revoked_at"] == revoked["revoked_at"]
    assert admin.get(f"{KEYS}/{made['id']}").json()["revoked_at"] == revoked["revoked_at"]
    error_of(admin.delete(f"{KEYS}/key-none"), 404, "not_found")
    error_of(admin.get(f"{KEYS}/key-none"), 404, "not_found")


def test_a_key_ends_when_it_says(server: ThreadedServer, admin: httpx.Client, unique: Names) -> None:
    name, soon = unique("ada"), int(time.time()) + 2
    answer = admin.post(KEYS, json={"name": "x", "user": name, "expires_at": 1})
    error_of(answer, 422, "invalid_request", "expires_at")
    error_of(admin.get(f"{USERS}/{name}"), 404, "not_found", "user")  # not made without its key
    with server.client(str(make_key(admin, name, expires_at=soon)["key"])) as ada:
        assert ada.get("/v1/models").status_code == 200
        time.sleep(soon - time.time() + 0.01)
        assert "expired" in error_of(ada.get("/v1/models"), 401, "invalid_api_key")["message"]


def test_an_unknown_user_is_made_with_role_and_grants(
    server: ThreadedServer, admin: httpx.Client, unique: Names
) -> None:
    box, other, name = unique("box"), unique("box"), unique("ada")
    source = make_toy(admin, box)
    make_toy(admin, other)
    made = make_key(admin, name, sources=[box])
    user = admin.get(f"{USERS}/{name}").json()
    assert (user["id"], user["role"]) == (made["user_id"], "analyst")
    assert user["grants"] == [{"source_id": source, "use": True, "write": False}]
    assert made["sources"] == [source]
    with server.client(str(made["key"])) as ada:
        assert names(ada) == {box}
    bare, boss = unique("bob"), unique("eve")
    make_key(admin, bare)
    make_key(admin, boss, role="admin")
    assert admin.get(f"{USERS}/{bare}").json()["grants"] == []
    assert admin.get(f"{USERS}/{boss}").json()["role"] == "admin"


def test_of_concurrent_keys_for_an_unknown_user_all_belong_to_one(admin: httpx.Client, unique: Names) -> None:
    name = unique("race")
    with ThreadPoolExecutor(6) as threads:
        made = list(threads.map(lambda _: make_key(admin, name), range(6)))
    assert len({key["user_id"] for key in made}) == 1
    assert (
        Counter(user["name"] for user in admin.get(USERS, params={"limit": 1000}).json()["data"])[name] == 1
    )


def test_a_key_only_narrows(server: ThreadedServer, admin: httpx.Client, unique: Names) -> None:
    granted, other = unique("box"), unique("box")
    make_toy(admin, granted)
    make_toy(admin, other)
    user = make_user(admin, unique("ada"), grants=[{"source_id": granted}])
    error = error_of(
        admin.post(KEYS, json={"name": "x", "user": user, "sources": [granted, other, "nowhere"]}),
        422,
        "invalid_request",
        "sources",
    )
    assert other in error["message"]
    assert "nowhere" in error["message"]
    assert granted not in error["message"]
    answer = admin.post(KEYS, json={"name": "x", "user": user, "role": "admin"})
    error_of(answer, 422, "invalid_request", "role")
    with server.client(str(make_key(admin, user)["key"])) as ada:
        assert names(ada) == {granted}
        own = make_toy(ada, unique("box"))
    with server.client(str(make_key(admin, user, sources=[own])["key"])) as narrow:
        assert [source["id"] for source in narrow.get("/v1/data-sources").json()["data"]] == [own]
    with server.client(str(make_key(admin, user, sources=[])["key"])) as nothing:
        assert names(nothing) == set()


def test_a_narrowed_administrator_cannot_widen_itself(
    server: ThreadedServer, admin: httpx.Client, unique: Names
) -> None:
    box = unique("box")
    make_toy(admin, box)
    boss = make_user(admin, unique("eve"), role="admin")
    with server.client(str(make_key(admin, boss, sources=[box])["key"])) as narrow:
        for answer in (
            narrow.post(KEYS, json={"name": "all", "user": boss}),
            narrow.get("/v1/admin/audit"),
            narrow.post("/v1/admin/audit/verify"),
        ):
            assert "narrowed" in error_of(answer, 403, "permission_denied")["message"]


@pytest.mark.parametrize("role", ["admin", "analyst"])
def test_a_narrowed_key_makes_and_manages_no_sources(
    server: ThreadedServer, admin: httpx.Client, unique: Names, role: str
) -> None:
    box = unique("box")
    source = make_toy(admin, box)
    user = make_user(admin, unique("eve"), role=role, grants=[{"source_id": box}])
    new = {"type": "toy", "name": unique("box"), "config": {"toys": [], "password": "x"}}
    with server.client(str(make_key(admin, user, sources=[box])["key"])) as narrow:
        for answer in (
            narrow.post("/v1/data-sources", json=new),
            narrow.post("/v1/data-sources", json={**new, "shared": role == "admin"}),
            narrow.patch(f"/v1/data-sources/{source}", json={"name": unique("taken")}),
            narrow.delete(f"/v1/data-sources/{source}"),
        ):
            assert "narrowed" in error_of(answer, 403, "permission_denied")["message"]
        error_of(narrow.get("/metrics"), 403, "permission_denied")
        assert narrow.get(f"/v1/data-sources/{source}/browse").status_code == 200
    error_of(admin.get(f"/v1/data-sources/{new['name']}"), 404, "not_found", "source_id")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "x"}, "user"),
        ({"user": "ada"}, "name"),
        ({"name": "", "user": "ada"}, "name"),
        *(({"name": f"lap{odd}top", "user": "never-made"}, "name") for odd in "\0\n\r\x1b\x7f\x9b\u2028"),
        ({"name": "x", "user": "no such name"}, "user"),
        ({"name": "x", "user": "ada", "expires_at": 10**30}, "expires_at"),
        ({"name": "x", "user": "never-made", "sources": ["nowhere"]}, "sources"),
    ],
)
def test_what_makes_no_key_is_refused(admin: httpx.Client, body: dict[str, object], param: str) -> None:
    error_of(admin.post(KEYS, json=body), 422, "invalid_request", param)


def test_analysts_come_into_no_route_of_administrators(
    server: ThreadedServer, admin: httpx.Client, ada: httpx.Client, anonymous: httpx.Client, unique: Names
) -> None:
    """Over the document, so that a new route cannot be forgotten."""
    target = make_user(admin, unique("bob"))
    paths = anonymous.get("/openapi.json").json()["paths"]
    routes = [
        (method, path.replace("{id}", target))
        for path, methods in paths.items()
        if path.startswith("/v1/admin/")
        for method in methods
    ]
    assert len(routes) >= 12
    before = admin.get(f"{USERS}/{target}").json()
    bodies = {"post": {"name": "x", "user": target}, "patch": {"role": "admin"}}
    for method, path in routes:
        error_of(ada.request(method, path, json=bodies.get(method)), 403, "permission_denied")
        error_of(anonymous.request(method, path, json=bodies.get(method)), 401, "invalid_api_key")
    assert admin.get(f"{USERS}/{target}").json() == before
    assert admin.get(KEYS, params={"user": target}).json()["data"] == []
