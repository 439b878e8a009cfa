"""Clients that change sources, users, API keys, threads and files over HTTP, until their server is gone; each knows
what must be true when a server opens the same data directory again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx

from tests.support.server import NO_TLS, bearer

Thing = tuple[str, str]
State = Mapping[str, Any] | None
"""What is known of a thing; None: there is no such thing (a key: it opens nothing)."""
States = Mapping[Thing, State]

SHELF = "shelf"
"""A shared source with the file `book.csv`, from which threads are filled."""

_VOLATILE = ("status", "last_tested_at", "last_used_at")
_MOST = 4  # things of a kind before one is removed: what is looked at after every kill


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the sources of a test connect to: a database, and logins of which each opens it."""

    admin_key: str
    database: Mapping[str, Any]
    logins: Sequence[tuple[str, str]]


@dataclass
class Person:
    name: str
    key: str | None = None  # the first, which is revoked only with its user
    other_keys: dict[str, tuple[str, str]] = field(default_factory=dict)  # id and key by name
    threads: dict[str, str] = field(default_factory=dict)  # id by the name of the file in it
    files: dict[str, str] = field(default_factory=dict)  # id by name


class Answers:
    """Counts over all clients, so that a kill can wait for some."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def add(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait_for(self, more: int, *, seconds: float) -> bool:
        with self._changed:
            goal = self._count + more
            return self._changed.wait_for(lambda: self._count >= goal, timeout=seconds)


class ChangingClient:
    """One change at a time, of things that no other client touches."""

    def __init__(self, name: str, random: Random, around: Surroundings, answers: Answers) -> None:
        self.said: dict[Thing, State] = {}
        self.recorded: set[str] = set()  # ids of answered requests that the audit trail must know
        self._name = name
        self._random = random
        self._around = around
        self._answers = answers
        self._count = 0
        self._under_way: Sequence[States] = ()
        self._people: dict[str, Person] = {}
        self._first_keys: dict[str, str] = {}  # by user, those that are gone included
        self._sources: dict[str, Person | None] = {}  # with who made it; None: the administrator

    def change_until_gone(self, url: str) -> None:
        try:
            with self._http(url) as http:
                while True:
                    self._one_change(http)
        except httpx.TransportError:
            return

    def compare(self, url: str) -> None:
        """Asks a new server. Raises AssertionError where an answered change is gone, or one under way is half there."""
        with self._http(url) as http:
            things = {*self.said, *(thing for states in self._under_way for thing in states)}
            seen = {thing: self._look(http, *thing) for thing in sorted(things)}
        before = {**dict.fromkeys(things), **self.said}
        possible = [before, *({**before, **states} for states in self._under_way)]
        true = [states for states in possible if all(_fits(states[thing], seen[thing]) for thing in things)]
        assert true, "\n".join(
            f"{thing}: said {[states[thing] for states in possible]}, seen {seen[thing]}"
            for thing in sorted(things)
            if not all(_fits(states[thing], seen[thing]) for states in possible)
        )
        self._go_on_with({thing: state for thing, state in seen.items() if state is not None})

    def names(self, kind: str) -> set[str]:
        return {name for found, name in self.said if found == kind}

    def _go_on_with(self, seen: dict[Thing, State]) -> None:
        self.said = seen
        self._under_way = ()
        self._sources = {name: p for name, p in self._sources.items() if ("source", name) in seen}
        self._people = {name: p for name, p in self._people.items() if ("user", name) in seen}
        for person in self._people.values():
            owned = seen.get(("owned", person.name)) or {"threads": (), "files": ()}
            person.threads = {name: i for name, i in person.threads.items() if name in owned["threads"]}
            person.files = {name: i for name, i in person.files.items() if name in owned["files"]}
            keys = self._keys_of(person)
            person.other_keys = {n: i for n, i in person.other_keys.items() if keys[n] == "in force"}

    def _http(self, url: str) -> httpx.Client:
        headers = bearer(self._around.admin_key)
        return httpx.Client(base_url=url, headers=headers, timeout=60, verify=NO_TLS)

    # --- changes ------------------------------------------------------------------------------------------------------

    def _one_change(self, http: httpx.Client) -> None:
        people = [person for person in self._people.values() if person.key]
        person = self._random.choice(people) if people else None
        changes: list[Callable[[], None]] = [
            lambda: self._create_source(http, self._random.choice([None, person])),
            lambda: self._create_person(http),
        ]
        if self._sources:
            changes += [lambda: self._change_source(http)] * 2
        if len(self._sources) >= _MOST:
            changes = [lambda: self._delete_source(http)]
        elif len(self._people) >= _MOST:
            changes = [lambda: self._delete_person(http)]
        if person is not None:
            changes += [
                lambda: self._change_person(http, person),
                lambda: self._create_key(http, person),
                lambda: self._create_thread(http, person),
                lambda: self._create_file(http, person),
            ]
            if person.other_keys:
                changes.append(lambda: self._revoke_key(http, person))
            if person.threads:
                changes.append(lambda: self._delete_owned(http, person, "threads", person.threads))
            if person.files:
                changes.append(lambda: self._delete_owned(http, person, "files", person.files))
        self._random.choice(changes)()
        self._answers.add()

    def _create_source(self, http: httpx.Client, person: Person | None) -> None:
        name = self._new("source")
        user, password = self._random.choice(self._around.logins)
        config = {**self._around.database, "user": user, "password": password}
        metadata = {"number": self._count}
        chosen = {"type": "postgresql", "name": name, "metadata": metadata}
        self._sources[name] = person
        self._change(
            http,
            "POST",
            "/v1/data-sources",
            [{("source", name): {**chosen, "opens": True}}],
            person=person,
            json={**chosen, "config": config, "test_connection": self._random.random() < 0.3},
        )

    def _change_source(self, http: httpx.Client) -> None:
        name = self._random.choice(list(self._sources))
        known = self.said["source", name]
        assert known is not None
        user, password = self._random.choice(self._around.logins)
        changed = {"config": {**known["config"], "user": user}, "metadata": {"number": self._count}}
        self._count += 1
        self._change(
            http,
            "PATCH",
            f"/v1/data-sources/{name}",
            [{("source", name): {**known, **changed, "updated_at": None}}],
            person=self._sources[name],
            json={
                "config": {"user": user, "password": password},
                "metadata": changed["metadata"],
                "test_connection": self._random.random() < 0.3,
            },
        )

    def _delete_source(self, http: httpx.Client) -> None:
        name = self._random.choice(list(self._sources))
        person = self._sources[name]
        self._change(http, "DELETE", f"/v1/data-sources/{name}", [{("source", name): None}], person=person)
        del self._sources[name]

    def _create_person(self, http: httpx.Client) -> None:
        person = Person(self._new("user"))
        self._people[person.name] = person
        made = self._change(
            http,
            "POST",
            "/v1/admin/api-keys",
            [
                {
                    ("user", person.name): {"name": person.name, "role": "analyst"},
                    ("keys", person.name): {"keys": {"first": "in force"}},
                }
            ],
            json={"name": "first", "user": person.name, "sources": ["*"]},
        )
        person.key = self._first_keys[person.name] = made["key"]
        self.said["key", made["key"]] = {}
        self.said["owned", person.name] = {"threads": [], "files": []}

    def _change_person(self, http: httpx.Client, person: Person) -> None:
        known = self.said["user", person.name]
        assert known is not None
        grants = [{"source_id": "*", "use": True, "write": self._random.random() < 0.5}]
        self._change(
            http,
            "PATCH",
            f"/v1/admin/users/{person.name}",
            [{("user", person.name): {**known, "grants": grants}}],
            json={"grants": grants},
        )

    def _delete_person(self, http: httpx.Client) -> None:
        """With everything that is theirs."""
        person = self._random.choice(list(self._people.values()))
        theirs = [name for name, maker in self._sources.items() if maker is person]
        gone: dict[Thing, State] = {(kind, person.name): None for kind in ("user", "keys", "owned")}
        keys = {person.key, *(key for _, key in person.other_keys.values())}
        gone |= {thing: None for thing in self.said if thing[0] == "key" and thing[1] in keys}
        gone |= {("source", name): None for name in theirs}
        self._change(http, "DELETE", f"/v1/admin/users/{person.name}", [gone])
        del self._people[person.name]
        self._sources = {name: maker for name, maker in self._sources.items() if maker is not person}

    def _create_key(self, http: httpx.Client, person: Person) -> None:
        name = self._new("key")
        made = self._change(
            http,
            "POST",
            "/v1/admin/api-keys",
            [{("keys", person.name): {"keys": {**self._keys_of(person), name: "in force"}}}],
            json={"name": name, "user": person.name},
        )
        person.other_keys[name] = (made["id"], made["key"])
        self.said["key", made["key"]] = {}

    def _revoke_key(self, http: httpx.Client, person: Person) -> None:
        name, (key_id, key) = self._random.choice(list(person.other_keys.items()))
        revoked: States = {
            ("keys", person.name): {"keys": {**self._keys_of(person), name: "revoked"}},
            ("key", key): None,
        }
        self._change(http, "DELETE", f"/v1/admin/api-keys/{key_id}", [revoked])
        del person.other_keys[name]

    def _create_thread(self, http: httpx.Client, person: Person) -> None:
        """Under way, it may be there already while its file is not."""
        name = self._new("thread") + ".csv"
        made = self._change(
            http,
            "POST",
            f"/v1/data-sources/{SHELF}/fetch",
            [self._owning(person, "threads", file) for file in ("", name)],
            person=person,
            json={"path": "book.csv", "save_as": name},
        )
        person.threads[name] = made["thread_id"]

    def _create_file(self, http: httpx.Client, person: Person) -> None:
        name = self._new("file")
        content = self._random.randbytes(self._random.randint(1, 300_000))
        states = [self._owning(person, "files", name)]
        made = self._change(http, "POST", "/v1/files", states, person=person, files={"file": (name, content)})
        person.files[name] = made["id"]

    def _delete_owned(self, http: httpx.Client, person: Person, kind: str, ids: dict[str, str]) -> None:
        name = self._random.choice(list(ids))
        states = [self._owning(person, kind, without=name)]
        self._change(http, "DELETE", f"/v1/{kind}/{ids[name]}", states, person=person)
        del ids[name]

    def _change(
        self,
        http: httpx.Client,
        method: str,
        path: str,
        may_lead_to: Sequence[States],
        *,
        person: Person | None = None,
        **request: Any,
    ) -> dict[str, Any]:
        """The last of the states is the one that an answer promises, together with what the answer itself says."""
        self._under_way = may_lead_to
        headers = bearer(person.key) if person is not None and person.key else None
        answer = http.request(method, path, headers=headers, **request)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        told: dict[str, Any] = answer.json()
        for thing, state in may_lead_to[-1].items():
            whole = thing[0] in ("source", "user") and told.get("name") == thing[1]
            self.said[thing] = {**state, **_lasting(told)} if state is not None and whole else state
        self._under_way = ()
        if "/fetch" not in path and path.startswith(("/v1/admin/", "/v1/data-sources")):
            self.recorded.add(answer.headers["x-request-id"])
        return told

    def _new(self, kind: str) -> str:
        self._count += 1
        return f"{kind}-{self._name}-{self._count}"

    def _keys_of(self, person: Person) -> Mapping[str, str]:
        state = self.said["keys", person.name]
        return {} if state is None else state["keys"]

    def _owning(
        self, person: Person, kind: str, more: str | None = None, without: str | None = None
    ) -> States:
        known = self.said["owned", person.name]
        assert known is not None
        names = [name for name in known[kind] if name != without] + ([] if more is None else [more])
        return {("owned", person.name): {**known, kind: sorted(names)}}

    # --- what there is ------------------------------------------------------------------------------------------------

    def _look(self, http: httpx.Client, kind: str, name: str) -> State:
        looked: State = getattr(self, f"_look_at_{kind}")(http, name)
        return looked

    def _look_at_source(self, http: httpx.Client, name: str) -> State:
        """With whether its secrets are those of its user: only then can it be opened."""
        found = _get(http, f"/v1/data-sources/{name}")
        if found is None:
            return None
        person = self._sources.get(name)
        headers = bearer(person.key) if person is not None and person.key else None
        tested = http.post(f"/v1/data-sources/{name}/test", headers=headers)
        return {**_lasting(found), "opens": tested.json()["status"] == "success"}

    def _look_at_user(self, http: httpx.Client, name: str) -> State:
        return _get(http, f"/v1/admin/users/{name}")

    def _look_at_keys(self, http: httpx.Client, user: str) -> State:
        found = _get(http, "/v1/admin/api-keys", user=user)
        if found is None:
            return None
        return {
            "keys": {key["name"]: "revoked" if key["revoked_at"] else "in force" for key in found["data"]}
        }

    def _look_at_key(self, http: httpx.Client, key: str) -> State:
        answer = http.get("/v1/models", headers=bearer(key))
        assert answer.status_code in (200, 401), answer.text
        return {} if answer.status_code == 200 else None

    def _look_at_owned(self, http: httpx.Client, user: str) -> State:
        if user not in self._first_keys:
            return None
        as_user = bearer(self._first_keys[user])
        threads = http.get("/v1/threads", headers=as_user, params={"limit": 1000})
        if threads.status_code == 401:
            return None
        files = http.get("/v1/files", headers=as_user, params={"limit": 1000}).json()["data"]
        assert all(_is_whole(http, file, as_user) for file in files)
        return {
            "threads": sorted(
                "+".join(f["name"] for f in thread["files"]) for thread in threads.json()["data"]
            ),
            "files": sorted(file["filename"] for file in files),
        }


def _is_whole(http: httpx.Client, file: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
    content = http.get(f"/v1/files/{file['id']}/content", headers=headers)
    return content.status_code == 200 and len(content.content) == file["bytes"]


def _get(http: httpx.Client, path: str, **params: str) -> dict[str, Any] | None:
    answer = http.get(path, params=params)
    assert answer.status_code in (200, 404), answer.text
    return answer.json() if answer.status_code == 200 else None


def _lasting(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name not in _VOLATILE}


def _fits(said: State, seen: State) -> bool:
    """What was said is true; more may be seen than was said."""
    if said is None or seen is None:
        return said is seen
    return all(name in seen and (value in (seen[name], None)) for name, value in said.items())
