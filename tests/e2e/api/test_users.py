"""Users as administrators make, change and delete them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from deepanalyze.errors import InternalError
from tests.support.answers import error_of
from tests.support.server import ThreadedServer, serving
from tests.support.toysource import PASSWORD

USERS = "/v1/admin/users"
KEYS = "/v1/admin/api-keys"
Names = Callable[[str], str]


def make_toy(client: httpx.Client, name: str) -> str:
    body = {"type": "toy", "name": name, "config": {"toys": ["a.csv"], "password": PASSWORD}}
    answer = client.post("/v1/data-sources", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def make_user(admin: httpx.Client, name: str, **more: object) -> str:
    answer = admin.post(USERS, json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def key_of(admin: httpx.Client, user: str) -> str:
    answer = admin.post(KEYS, json={"name": "test", "user": user})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


def test_a_user_is_made_and_found_by_id_and_by_name(admin: httpx.Client, unique: Names) -> None:
    source, name = make_toy(admin, unique("box")), unique("ada")
    made = admin.post(USERS, json={"name": name, "grants": [{"source_id": source, "write": True}]})
    assert made.status_code == 201
    user = made.json()
    assert user["object"] == "user"
    assert (user["name"], user["role"]) == (name, "analyst")
    assert user["grants"] == [{"source_id": source, "use": True, "write": True}]
    assert admin.get(f"{USERS}/{name}").json() == user
    assert admin.get(f"{USERS}/{user['id']}").json() == user


def test_users_are_listed_in_pages(admin: httpx.Client, unique: Names) -> None:
    names = sorted(unique("page") for _ in range(5))
    for name in names:
        make_user(admin, name)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = admin.get(USERS, params=params).json()
        assert page["object"] == "list"
        assert len(page["data"]) <= 2
        seen += [user["name"] for user in page["data"]]
        assert page["has_more"] is (page["next_cursor"] is not None)
        if not (cursor := page["next_cursor"]):
            break
    assert seen == sorted(seen)
    assert [name for name in seen if name in names] == names


def test_of_concurrent_creates_of_one_name_one_succeeds(admin: httpx.Client, unique: Names) -> None:
    name = unique("race")
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: admin.post(USERS, json={"name": name}), range(8)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 7}
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert name in error_of(refused, 409, "already_exists", "name")["message"]


@pytest.mark.parametrize("name", ["", " a", "a b", "a/b", "x" * 65, "user-" + "0" * 24, "ü"])
def test_other_names_are_refused(admin: httpx.Client, name: str) -> None:
    error_of(admin.post(USERS, json={"name": name}), 422, "invalid_request", "name")


def test_what_is_not_known_is_refused(admin: httpx.Client, unique: Names) -> None:
    name = unique("ada")
    error_of(admin.post(USERS, json={"name": name, "role": "owner"}), 422, "invalid_request", "role")
    error_of(admin.post(USERS, json={"name": name, "admin": True}), 422, "invalid_request", "admin")
    error_of(admin.get(f"{USERS}/{name}"), 404, "not_found", "user")
    error_of(admin.patch(f"{USERS}/{name}", json={}), 404, "not_found", "user")
    error_of(admin.delete(f"{USERS}/{name}"), 404, "not_found", "user")


def test_grants_of_unknown_sources_are_refused_by_name(
    admin: httpx.Client, ada: httpx.Client, unique: Names
) -> None:
    shared, private = unique("box"), unique("box")
    make_toy(admin, shared)
    make_toy(ada, private)
    grants = [{"source_id": name} for name in ("nowhere", shared, private, "*")]
    error = error_of(
        admin.post(USERS, json={"name": unique("u"), "grants": grants}), 422, "invalid_request", "grants"
    )
    assert "'nowhere'" in error["message"]
    assert private in error["message"]
    assert shared not in error["message"]
    user = make_user(admin, unique("u"))
    answer = admin.patch(f"{USERS}/{user}", json={"grants": [{"source_id": "nowhere"}]})
    error_of(answer, 422, "invalid_request", "grants")
    twice = [{"source_id": shared}, {"source_id": shared, "write": True}]
    error_of(admin.patch(f"{USERS}/{user}", json={"grants": twice}), 422, "invalid_request", "grants")
    assert admin.get(f"{USERS}/{user}").json()["grants"] == []


def test_a_change_counts_from_the_next_request_on(
    server: ThreadedServer, admin: httpx.Client, unique: Names
) -> None:
    box = unique("box")
    source, user = make_toy(admin, box), make_user(admin, unique("ada"))
    with server.client(key_of(admin, user)) as ada:
        error_of(ada.get(f"/v1/data-sources/{box}"), 404, "not_found", "source_id")
        changed = admin.patch(f"{USERS}/{user}", json={"grants": [{"source_id": box}]}).json()
        assert changed["grants"] == [{"source_id": source, "use": True, "write": False}]
        assert ada.get(f"/v1/data-sources/{box}").status_code == 200
        error_of(ada.get(USERS), 403, "permission_denied")
        renamed = unique("countess")
        changed = admin.patch(f"{USERS}/{user}", json={"role": "admin", "name": renamed}).json()
        assert (changed["role"], changed["name"]) == ("admin", renamed)
        assert len(changed["grants"]) == 1
        assert ada.get(USERS).status_code == 200
        assert admin.patch(f"{USERS}/{user}", json={"role": "analyst", "grants": []}).status_code == 200
        error_of(ada.get(USERS), 403, "permission_denied")
        error_of(ada.get(f"/v1/data-sources/{box}"), 404, "not_found", "source_id")


def test_grants_and_narrowings_end_with_their_source(
    server: ThreadedServer, admin: httpx.Client, unique: Names
) -> None:
    box, user = unique("box"), unique("ada")
    new = {"type": "toy", "id": box, "name": unique("name"), "config": {"toys": [], "password": PASSWORD}}
    assert admin.post("/v1/data-sources", json=new).status_code == 201
    make_user(admin, user, grants=[{"source_id": box}])
    body = {"name": "narrow", "user": user, "sources": [box]}
    narrow = admin.post(KEYS, json=body).json()["key"]
    assert admin.delete(f"/v1/data-sources/{box}").status_code == 200
    grants = admin.get(f"{USERS}/{user}").json()["grants"]
    assert admin.patch(f"{USERS}/{user}", json={"grants": grants}).status_code == 200
    assert admin.post("/v1/data-sources", json=new).status_code == 201
    for key in (narrow, key_of(admin, user)):
        with server.client(key) as client:
            assert client.get("/v1/data-sources").json()["data"] == []
            error_of(client.get(f"/v1/data-sources/{box}"), 404, "not_found", "source_id")
    admin.patch(f"{USERS}/{user}", json={"grants": [{"source_id": "*"}]})
    with server.client(narrow) as client:  # it is narrowed to nothing now, not to everything
        assert client.get("/v1/data-sources").json()["data"] == []


def test_names_that_differ_by_case_only_are_one(admin: httpx.Client, unique: Names) -> None:
    name, other = unique("ada"), unique("bob")
    make_user(admin, name)
    make_user(admin, other)
    same = name.capitalize()
    assert name in error_of(admin.post(USERS, json={"name": same}), 409, "already_exists", "name")["message"]
    error_of(admin.patch(f"{USERS}/{other}", json={"name": same}), 409, "already_exists", "name")
    error_of(admin.post(KEYS, json={"name": "x", "user": same}), 409, "already_exists", "user")
    assert admin.patch(f"{USERS}/{name}", json={"name": same}).json()["name"] == same  # its own


def test_a_name_that_is_taken_is_not_given_again(admin: httpx.Client, unique: Names) -> None:
    taken, user = unique("ada"), make_user(admin, unique("bob"))
    make_user(admin, taken)
    answer = admin.patch(f"{USERS}/{user}", json={"name": taken, "role": "admin"})
    error_of(answer, 409, "already_exists", "name")
    assert admin.get(f"{USERS}/{user}").json()["role"] == "analyst"


@pytest.mark.requirement("10.5")
def test_a_deleted_user_leaves_nothing(server: ThreadedServer, admin: httpx.Client, unique: Names) -> None:
    user = make_user(admin, unique("ada"))
    private, shared = unique("box"), unique("box")
    with server.client(key_of(admin, user)) as ada:
        source = make_toy(ada, private)
        file = ada.post("/v1/files", files={"file": ("a.csv", b"a\n1\n")}, data={"purpose": "x"}).json()
        thread = ada.post(f"/v1/data-sources/{private}/fetch", json={"path": "a.csv"}).json()["thread_id"]
        admin.patch(f"{USERS}/{user}", json={"role": "admin"})
        make_toy(ada, shared)
        workspace = server.runtime.threads.workspace(thread)
        assert [found.name for found in workspace.list()] == ["a.csv"]
        assert admin.delete(f"{USERS}/{user}").json() == {"id": user, "object": "user", "deleted": True}
        error_of(ada.get("/v1/models"), 401, "invalid_api_key")
    error_of(admin.get(f"/v1/data-sources/{source}"), 404, "not_found", "source_id")
    assert admin.get(f"/v1/data-sources/{shared}").status_code == 200
    assert workspace.list() == []
    data_dir = server.runtime.settings.data_dir
    assert not list(data_dir.rglob(f"*{file['id']}*"))
    assert not list(data_dir.rglob(f"*{thread}*"))
    error_of(admin.get(f"{USERS}/{user}"), 404, "not_found", "user")
    error_of(admin.get(KEYS, params={"user": user}), 404, "not_found", "user")
    make_toy(admin, private)  # its name is free again


def test_a_deletion_that_fails_removes_nothing(
    server: ThreadedServer, admin: httpx.Client, unique: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, private = make_user(admin, unique("ada")), unique("box")

    def full_disk(*_: object) -> None:
        raise InternalError("the server's store failed: the disk is full; nothing was changed")

    with server.client(key_of(admin, user)) as ada:
        source = make_toy(ada, private)
        file = ada.post("/v1/files", files={"file": ("a.csv", b"a\n1\n")}, data={"purpose": "x"}).json()
        with monkeypatch.context() as patched:
            patched.setattr("deepanalyze.store.accounts._delete_owned", full_disk)
            error_of(admin.delete(f"{USERS}/{user}"), 500, "internal_error")
        assert ada.get(f"/v1/data-sources/{source}").status_code == 200
        assert ada.get(f"/v1/files/{file['id']}/content").content == b"a\n1\n"
        assert admin.delete(f"{USERS}/{user}").status_code == 200
        error_of(ada.get("/v1/models"), 401, "invalid_api_key")


def test_the_configured_administrator_stays(admin: httpx.Client) -> None:
    for answer in (
        admin.delete(f"{USERS}/admin"),
        admin.patch(f"{USERS}/admin", json={"role": "analyst"}),
        admin.patch(f"{USERS}/admin", json={"name": "root"}),
    ):
        assert "admin_api_key" in error_of(answer, 403, "permission_denied")["message"]
    assert admin.patch(f"{USERS}/admin", json={"name": "admin", "role": "admin"}).status_code == 200


def test_the_last_administrator_stays() -> None:
    with serving(admin_api_key=None) as server:
        made = server.runtime.new_admin_key
        with server.client(made) as admin:
            for answer in (
                admin.delete(f"{USERS}/admin"),
                admin.patch(f"{USERS}/admin", json={"role": "analyst"}),
            ):
                assert "last administrator" in error_of(answer, 403, "permission_denied")["message"]
            make_user(admin, "second", role="admin")
            with server.client(key_of(admin, "second")) as second:
                assert second.delete(f"{USERS}/admin").status_code == 200
                error_of(second.delete(f"{USERS}/second"), 403, "permission_denied")
            error_of(admin.get(USERS), 401, "invalid_api_key")
