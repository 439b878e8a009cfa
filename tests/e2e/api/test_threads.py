"""Threads and their files: private, listed, downloaded safely, and linked for as long as is meant."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit, urlunsplit

import httpx
import pytest

from tests.support.answers import error_of
from tests.support.server import ThreadedServer
from tests.support.toysource import PASSWORD

ODD_NAMES = [
    "plain.csv",
    "with space.txt",
    "quote'\"s.md",
    "snow ☃ 雪.png",
    "100%25.csv",
    "a+b&c=d#e?f.txt",
    "deep/er/file.html",
    "x..%2fnot-above.txt",
    "semi;colon.svg",
    "back`tick$(x).json",
    "carriage\rreturn.csv",
]


class Thread:
    """A thread of one user, with files as code would leave them."""

    def __init__(self, server: ThreadedServer, client: httpx.Client) -> None:
        self.server = server
        self.client = client
        body = {
            "type": "toy",
            "name": f"box{time.monotonic_ns() % 10**12}",
            "config": {"toys": ["a.csv"], "password": PASSWORD},
        }
        source = client.post("/v1/data-sources", json=body).json()["id"]
        answer = client.post(f"/v1/data-sources/{source}/fetch", json={"path": "a.csv"})
        self.id: str = answer.json()["thread_id"]
        self.root: Path = server.runtime.threads.workspace(self.id).root

    def write(self, name: str, content: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def path(self, name: str) -> str:
        return f"/v1/threads/{self.id}/files/{quote(name)}"

    def url(self, name: str) -> str:
        files = self.client.get(f"/v1/threads/{self.id}/files").json()["data"]
        return next(str(file["url"]) for file in files if file["name"] == name)


@pytest.fixture
def thread(server: ThreadedServer, ada: httpx.Client) -> Iterator[Thread]:
    made = Thread(server, ada)
    yield made
    ada.delete(f"/v1/threads/{made.id}")


def test_a_thread_object_has_every_field(thread: Thread, ada: httpx.Client) -> None:
    answer = ada.get(f"/v1/threads/{thread.id}").json()
    assert set(answer) == {"id", "object", "created_at", "last_accessed_at", "expires_at", "status", "files"}
    assert answer["status"] == "idle"
    assert answer["created_at"] <= answer["last_accessed_at"] < answer["expires_at"]
    assert [file["name"] for file in answer["files"]] == ["a.csv"]
    assert [found["id"] for found in ada.get("/v1/threads").json()["data"]] == [thread.id]
    assert ada.get(f"/v1/threads/{thread.id}/messages").json()["data"] == []
    for last in ("0", "9" * 5000):
        answer = ada.get(f"/v1/threads/{thread.id}/events", headers={"Last-Event-ID": last})
        assert answer.text == "data: [DONE]\n\n"
    assert ada.post(f"/v1/threads/{thread.id}/cancel").json()["cancelled"] is False


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_can_be_listed_downloaded_and_linked(
    thread: Thread, ada: httpx.Client, anonymous: httpx.Client, name: str
) -> None:
    content = f"content of {name}".encode()
    thread.write(name, content)
    for answer in (ada.get(thread.path(name)), anonymous.get(thread.url(name))):
        assert (answer.status_code, answer.content) == (200, content)
        disposition = answer.headers["content-disposition"]
        assert unquote(disposition.partition("filename*=UTF-8''")[2]) == name.rpartition("/")[2]
        assert "\n" not in disposition


@pytest.mark.parametrize(
    ("name", "content_type", "kind"),
    [
        ("a.html", "text/html; charset=utf-8", "attachment"),
        ("a.svg", "image/svg+xml", "inline"),
        ("a.png", "image/png", "inline"),
        ("a.txt", "text/plain; charset=utf-8", "inline"),
        ("a.md", "text/markdown; charset=utf-8", "inline"),
        ("a.pdf", "application/pdf", "attachment"),
        ("a.unknown", "application/octet-stream", "attachment"),
    ],
)
def test_untrusted_files_do_no_harm_in_a_browser(
    thread: Thread, ada: httpx.Client, anonymous: httpx.Client, name: str, content_type: str, kind: str
) -> None:
    thread.write(name, b"<script>alert(1)</script>")
    for answer in (ada.get(thread.path(name)), ada.head(thread.path(name)), anonymous.get(thread.url(name))):
        assert answer.headers["content-security-policy"] == (
            "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'"
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"] == content_type
        assert answer.headers["content-disposition"].startswith(f"{kind}; ")


def test_ranges_and_head(thread: Thread, ada: httpx.Client, anonymous: httpx.Client) -> None:
    content = os.urandom(700_001)
    thread.write("big.bin", content)
    path = thread.path("big.bin")
    assert ada.get(path).content == content
    part = ada.get(path, headers={"Range": "bytes=299990-300009"})
    assert (part.status_code, part.content) == (206, content[299990:300010])
    assert part.headers["content-range"] == "bytes 299990-300009/700001"
    head = ada.head(path)
    assert (head.headers["content-length"], head.headers["accept-ranges"], head.content) == (
        "700001",
        "bytes",
        b"",
    )
    error_of(ada.get(path, headers={"Range": "bytes=700001-"}), 416, "range_not_satisfiable")
    with anonymous.stream("GET", thread.url("big.bin"), headers={"Range": "bytes=-5"}) as linked:
        assert linked.read() == content[-5:]


@pytest.mark.parametrize(
    "path",
    [
        "nothing.csv",
        "..%2f..%2fstaging",
        "%2e%2e/%2e%2e/x",
        "..%5c..%5cx",
        "%2fetc%2fpasswd",
        "a.csv/",
        "a.csv/x",
        "%2e",
        "",
        "a.csv%00",
        "deep",
        "x" * 5000,
    ],
)
def test_nothing_but_files_of_the_workspace_is_opened(thread: Thread, ada: httpx.Client, path: str) -> None:
    thread.write("deep/file", b"x")
    error_of(ada.get(f"/v1/threads/{thread.id}/files/{path}"), 404, "not_found", None)


@pytest.mark.parametrize("plant", ["link", "folder link", "hard link", "fifo", "line\nbreak"])
def test_planted_files_are_neither_listed_nor_opened(
    thread: Thread, ada: httpx.Client, tmp_path: Path, plant: str
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    name = "planted"
    if plant == "link":
        (thread.root / name).symlink_to(tmp_path / "secret.txt")
    elif plant == "folder link":
        (thread.root / name).symlink_to(tmp_path)
        name = "planted/secret.txt"
    elif plant == "hard link":
        thread.write("original.txt", b"x")
        os.link(thread.root / "original.txt", thread.root / name)
    elif plant == "line\nbreak":
        name = plant
        thread.write(name, b"no route leads here")
    else:
        os.mkfifo(thread.root / name)
    error_of(ada.get(thread.path(name)), 404, "not_found", None)
    listed = [file["name"] for file in ada.get(f"/v1/threads/{thread.id}/files").json()["data"]]
    assert name not in listed


def test_threads_are_private(
    thread: Thread, ada: httpx.Client, bob: httpx.Client, admin: httpx.Client, anonymous: httpx.Client
) -> None:
    path = f"/v1/threads/{thread.id}"
    requests = [
        ("GET", path),
        ("DELETE", path),
        ("POST", f"{path}/cancel"),
        ("GET", f"{path}/files"),
        ("GET", f"{path}/files/a.csv"),
        ("GET", f"{path}/messages"),
        ("GET", f"{path}/events"),
    ]
    for method, target in requests:
        for stranger in (bob, admin):
            error_of(stranger.request(method, target), 404, "not_found", "thread_id")
        error_of(anonymous.request(method, target), 401, "invalid_api_key")
    assert thread.id not in bob.get("/v1/threads").text
    assert ada.get(path).status_code == 200


def test_a_link_needs_no_key_and_opens_one_file(thread: Thread, anonymous: httpx.Client) -> None:
    thread.write("other.csv", b"x")
    url = thread.url("a.csv")
    assert anonymous.get(url).text == "toy\na.csv\n"
    assert anonymous.head(url).status_code == 200
    error_of(anonymous.get(url.replace("a.csv", "other.csv")), 403, "permission_denied")
    error_of(anonymous.delete(url), 401, "invalid_api_key")
    query = urlsplit(url).query
    error_of(anonymous.get(f"/v1/threads/{thread.id}/files?{query}"), 401, "invalid_api_key")
    error_of(anonymous.get(f"/v1/threads/{thread.id}?{query}"), 401, "invalid_api_key")
    error_of(anonymous.get(f"/v1/files?{query}"), 401, "invalid_api_key")


@pytest.mark.parametrize("field", ["user", "expires", "signature"])
def test_a_changed_link_opens_nothing(thread: Thread, anonymous: httpx.Client, field: str) -> None:
    split = urlsplit(thread.url("a.csv"))
    query = {name: values[0] for name, values in parse_qs(split.query).items()}
    changed = {**query, field: query[field][:-1] + ("1" if query[field][-1] != "1" else "2")}
    missing = {name: value for name, value in query.items() if name != field}
    doubled = urlsplit(urlunsplit(split._replace(query=f"{split.query}&{field}=0")))
    error_of(anonymous.get(urlunsplit(split._replace(query=urlencode(changed)))), 403, "permission_denied")
    refused = anonymous.get(urlunsplit(split._replace(query=urlencode(missing))))
    assert refused.status_code in (401, 403)
    assert anonymous.get(urlunsplit(doubled)).status_code in (200, 403)


@pytest.mark.parametrize("expires", ["", "x", "-1", "9" * 400, "1e9", "☃"])
def test_a_malformed_expiry_opens_nothing(thread: Thread, anonymous: httpx.Client, expires: str) -> None:
    query = urlencode({"user": "u", "expires": expires, "signature": "s"})
    answer = anonymous.get(f"{thread.path('a.csv')}?{query}")
    assert answer.status_code in (403, 422)
    error_of(answer, answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["param"])


def test_an_expired_link_opens_nothing(
    thread: Thread, server: ThreadedServer, anonymous: httpx.Client
) -> None:
    owner = parse_qs(urlsplit(thread.url("a.csv")).query)["user"][0]
    url = server.runtime.urls.sign(owner, thread.id, "a.csv", expires_at=int(time.time()) - 1)
    assert "expired" in error_of(anonymous.get(url), 403, "permission_denied")["message"]


def test_a_link_ends_with_its_thread(thread: Thread, ada: httpx.Client, anonymous: httpx.Client) -> None:
    url = thread.url("a.csv")
    assert ada.delete(f"/v1/threads/{thread.id}").json() == {
        "id": thread.id,
        "object": "thread",
        "deleted": True,
    }
    error_of(anonymous.get(url), 404, "not_found", "thread_id")
    error_of(ada.get(f"/v1/threads/{thread.id}"), 404, "not_found", "thread_id")
    assert not thread.root.exists()


def test_a_link_signed_for_someone_else_opens_nothing(
    thread: Thread, server: ThreadedServer, anonymous: httpx.Client
) -> None:
    """The signature is right, but the thread is not that user's."""
    url = server.runtime.urls.sign("user-of-another-thread", thread.id, "a.csv")
    error_of(anonymous.get(url), 404, "not_found", "thread_id")


def test_lists_page(server: ThreadedServer, bob: httpx.Client, unique: Callable[[str], str]) -> None:
    threads = [Thread(server, bob) for _ in range(3)]
    for n in range(5):
        threads[0].write(f"{n}.txt", b"x")
    for path, limit, expected in (
        ("/v1/threads", 2, {made.id for made in threads}),
        (f"/v1/threads/{threads[0].id}/files", 2, {"a.csv", *(f"{n}.txt" for n in range(5))}),
    ):
        found: list[str] = []
        params = {"limit": str(limit)}
        while True:
            page = bob.get(path, params=params).json()
            found += [entry.get("id", entry.get("name")) for entry in page["data"]]
            if not page["has_more"]:
                break
            params["cursor"] = page["next_cursor"]
        assert len(found) == len(expected)
        assert set(found) == expected
