"""Uploaded files, through OpenAI's client and plain HTTP."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from urllib.parse import unquote

import httpx
import openai
import pytest

from tests.e2e.api.conftest import MAX_FILE_BYTES
from tests.support.answers import error_of
from tests.support.server import ThreadedServer


def upload(client: httpx.Client, content: bytes = b"a,b\n1,2\n", name: str = "a.csv", **fields: str) -> str:
    answer = client.post("/v1/files", files={"file": (name, content)}, data=fields)
    assert answer.status_code == 200, answer.text
    file_id: str = answer.json()["id"]
    return file_id


def test_the_life_of_a_file_in_openais_client(client: openai.OpenAI) -> None:
    made = client.files.create(file=("data.csv", b"x,y\n1,2\n"), purpose="assistants")
    assert (made.object, made.bytes, made.filename, made.purpose) == ("file", 8, "data.csv", "assistants")
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).read() == b"x,y\n1,2\n"
    assert [file.id for file in client.files.list()] == [made.id]
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)


def test_openais_client_pages_through_many(client: openai.OpenAI) -> None:
    made = {client.files.create(file=(f"{n}.txt", b"x"), purpose="user_data").id for n in range(7)}
    assert {file.id for file in client.files.list(limit=3)} == made
    assert list(client.files.list(purpose="vision")) == []


def test_cursors_page_as_well(ada: httpx.Client) -> None:
    made = [upload(ada, name=f"{n}.txt") for n in range(5)]
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = ada.get("/v1/files", params={"limit": "2", **cursor}).json()
        found += [file["id"] for file in page["data"]]
        assert page["has_more"] == (page["next_cursor"] is not None)
        if not page["has_more"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(found) == sorted(made)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\a.csv", "a.csv"),
        ("/a b ☃ 'q'; c.csv", "a b ☃ 'q'; c.csv"),
    ],
)
def test_a_name_loses_its_directories(ada: httpx.Client, sent: str, kept: str) -> None:
    file_id = upload(ada, name=sent)
    assert ada.get(f"/v1/files/{file_id}").json()["filename"] == kept
    disposition = ada.get(f"/v1/files/{file_id}/content").headers["content-disposition"]
    assert disposition.startswith("attachment; ")
    assert unquote(disposition.partition("UTF-8''")[2]) == kept


def test_a_files_content_is_streamed_both_ways(ada: httpx.Client) -> None:
    content = os.urandom(MAX_FILE_BYTES)
    file_id = upload(ada, content)
    digest = hashlib.sha256()
    with ada.stream("GET", f"/v1/files/{file_id}/content") as answer:
        for chunk in answer.iter_bytes():
            digest.update(chunk)
    assert digest.digest() == hashlib.sha256(content).digest()


@pytest.mark.parametrize("size", [MAX_FILE_BYTES + 1, MAX_FILE_BYTES + 2 * 1024**2])
def test_a_file_over_the_limit_is_refused(ada: httpx.Client, size: int) -> None:
    answer = ada.post("/v1/files", files={"file": ("big.bin", b"x" * size)})
    assert "max_file_bytes" in error_of(answer, 413, "file_too_large", "file")["message"]
    assert ada.get("/v1/files").json()["data"] == []


def test_a_file_that_turns_out_too_large_is_refused(ada: httpx.Client) -> None:
    def parts() -> Iterator[bytes]:
        yield b'--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(5):
            yield b"x" * 1024**2
        yield b"\r\n--B--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    error_of(ada.post("/v1/files", content=parts(), headers=headers), 413, "file_too_large", "file")


@pytest.mark.parametrize(
    ("content_type", "content", "param"),
    [
        ("application/json", b"{}", "file"),
        ("multipart/form-data", b"x", None),
        ("multipart/form-data; boundary=B", b"nonsense", None),
        (
            "multipart/form-data; boundary=B",
            b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--\r\n",
            None,
        ),
        (
            "multipart/form-data; boundary=B",
            b'--B\r\nContent-Disposition: form-data; name="file"\r\n\r\nno file\r\n--B--\r\n',
            "file",
        ),
        ("application/x-www-form-urlencoded", b"file=x", "file"),
    ],
)
def test_what_is_no_upload_is_refused(
    ada: httpx.Client, content_type: str, content: bytes, param: str | None
) -> None:
    answer = ada.post("/v1/files", content=content, headers={"Content-Type": content_type})
    error_of(answer, 422, "invalid_request", param)


def test_a_purpose_must_make_sense(ada: httpx.Client) -> None:
    answer = ada.post("/v1/files", files={"file": ("a", b"x")}, data={"purpose": "☃"})
    error_of(answer, 422, "invalid_request", "purpose")


def test_ranges(ada: httpx.Client) -> None:
    path = f"/v1/files/{upload(ada, b'0123456789')}/content"
    for wanted, got in {
        "bytes=2-4": b"234",
        "bytes=7-": b"789",
        "bytes=-3": b"789",
        "bytes=0-99": None,
        "bytes=8-99": b"89",
        "bytes=-99": None,
        "bytes=5-2": None,
        "bytes=0-1,3-4": None,
        "lines=1-2": None,
        f"bytes={'9' * 5000}-": None,
        f"bytes=0-{'9' * 5000}": None,
        f"bytes=-{'9' * 5000}": None,
    }.items():
        answer = ada.get(path, headers={"Range": wanted})
        assert answer.content == (got or b"0123456789"), wanted
        assert answer.status_code == (206 if got else 200), wanted
    assert ada.get(path, headers={"Range": "bytes=2-4"}).headers["content-range"] == "bytes 2-4/10"
    error_of(ada.get(path, headers={"Range": "bytes=10-"}), 416, "range_not_satisfiable")
    head = ada.head(path)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "10", b"")
    assert ada.get(path, headers={"If-None-Match": head.headers["etag"]}).status_code == 304
    assert ada.get(path, headers={"Range": "bytes=2-4", "If-Range": '"other"'}).status_code == 200


def test_an_empty_file(ada: httpx.Client) -> None:
    answer = ada.get(f"/v1/files/{upload(ada, b'')}/content")
    assert (answer.status_code, answer.content) == (200, b"")


def test_files_are_private(ada: httpx.Client, bob: httpx.Client, admin: httpx.Client) -> None:
    file_id = upload(ada)
    for stranger in (bob, admin):
        error_of(stranger.get(f"/v1/files/{file_id}"), 404, "not_found")
        error_of(stranger.get(f"/v1/files/{file_id}/content"), 404, "not_found")
        error_of(stranger.delete(f"/v1/files/{file_id}"), 404, "not_found")
        assert file_id not in stranger.get("/v1/files").text
    assert ada.get(f"/v1/files/{file_id}").status_code == 200


def test_files_are_never_shown_as_pages(server: ThreadedServer, ada: httpx.Client) -> None:
    answer = ada.get(f"/v1/files/{upload(ada, b'<script>', name='a.html')}/content")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert answer.headers["x-content-type-options"] == "nosniff"
