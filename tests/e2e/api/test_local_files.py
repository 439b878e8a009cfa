"""Files on the server as a data source, over HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import openai
import pytest

from deepanalyze.accounts import Grant
from deepanalyze.api.source_schemas import Metadata
from tests.support.answers import error_of
from tests.support.local_sources import put
from tests.support.server import ThreadedServer, serving

MAX_FILE_BYTES = 1000


@pytest.fixture(scope="module")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("allowed")
    put(
        root,
        {
            "files/sales/2024/1.csv": b"month,total\n1,17\n",
            "files/sales/2024/2.csv": b"month,total\n2,18\n",
            "files/sales/ü ☃ #%.csv": b"a,b\n1,2\n",
            b"files/caf\xe9.csv": b"x\n1\n",
            "files/tab\tand\nline.csv": b"x\n1\n",
            "files/big.csv": bytes(MAX_FILE_BYTES + 1),
            "files/.hidden.csv": b"x\n1\n",
        },
    )
    (root / "files/link.csv").symlink_to("/etc/passwd")
    return root


@pytest.fixture(scope="module")
def server(allowed: Path) -> Iterator[ThreadedServer]:
    """One of its own, because where files may lie is a setting."""
    with serving(local_roots=(allowed,), max_file_bytes=MAX_FILE_BYTES) as server:
        yield server


@pytest.fixture
def files(admin: httpx.Client, allowed: Path) -> Iterator[str]:
    body = {"type": "local_file", "name": "files", "config": {"root": str(allowed / "files")}}
    answer = admin.post("/v1/data-sources", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["status"], made["read_only"], made["shared"]) == ("ok", True, True)
    assert made["config"]["root"] == str(allowed / "files")
    yield made["id"]
    admin.delete(f"/v1/data-sources/{made['id']}")


def told(client: httpx.Client, source: str, rest: str, **params: Any) -> dict[str, Any]:
    answer = client.get(f"/v1/data-sources/{source}/{rest}", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_what_it_holds_is_browsed_folder_by_folder(admin: httpx.Client, files: str) -> None:
    top = told(admin, files, "browse")["data"]
    assert [(item["path"], item["kind"]) for item in top] == [
        ("big.csv", "file"),
        ("caf\\xe9.csv", "file"),
        ("sales/", "folder"),
        ("tab\tand\nline.csv", "file"),
    ]
    below = told(admin, files, "browse", path="sales/")["data"]
    assert [(item["path"], item["size"]) for item in below] == [
        ("sales/2024/", None),
        ("sales/ü ☃ #%.csv", 8),
    ]
    page = told(admin, files, "browse", recursive=True, limit=2)
    rest = told(admin, files, "browse", recursive=True, limit=100, cursor=page["next_cursor"])
    assert len(page["data"] + rest["data"]) == 6
    assert all(item["modified_at"] for item in page["data"])


def test_a_file_is_described(admin: httpx.Client, files: str) -> None:
    for path, name in (("sales/ü ☃ #%.csv", "ü ☃ #%.csv"), ("caf\\xe9.csv", "caf\\xe9.csv")):
        found = told(admin, files, "metadata", path=path)
        Metadata.model_validate(found)
        assert (found["name"], found["path"], found["kind"]) == (name, path, "file")
        assert found["content_type"] == "text/csv"


def test_its_connection_is_tested(admin: httpx.Client, files: str, allowed: Path) -> None:
    answer = admin.post(f"/v1/data-sources/{files}/test").json()
    assert (answer["status"], answer["server"]["product"]) == ("success", "Local files")
    (allowed / "files").rename(allowed / "away")
    try:
        answer = admin.post(f"/v1/data-sources/{files}/test").json()
        assert (answer["status"], answer["error"]["code"]) == ("failure", "source_unavailable")
    finally:
        (allowed / "away").rename(allowed / "files")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("sales/2024/1.csv", {"1.csv": b"month,total\n1,17\n"}),
        ("sales/2024/*.csv", {"1.csv": b"month,total\n1,17\n", "2.csv": b"month,total\n2,18\n"}),
        ("caf\\xe9.csv", {"caf_5cxe9.csv": b"x\n1\n"}),
        ("tab\tand\nline.csv", {"tab_09and_0aline.csv": b"x\n1\n"}),
        (".hidden.csv", {"_2ehidden.csv": b"x\n1\n"}),
    ],
)
def test_files_are_fetched_into_a_thread(
    server: ThreadedServer, admin: httpx.Client, files: str, path: str, expected: dict[str, bytes]
) -> None:
    analyst = server.user(f"fetcher-{os.urandom(4).hex()}", grants=[Grant(source_id=files, use=True)])
    with server.client(analyst) as client:
        answer = client.post(f"/v1/data-sources/{files}/fetch", json={"path": path})
        assert answer.status_code == 200, answer.text
        made = answer.json()
        assert {file["file"] for file in made["files"]} == set(expected)
        for name, content in expected.items():
            assert client.get(f"/v1/threads/{made['thread_id']}/files/{quote(name)}").content == content


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("nothing/*.csv", 404, "blob_not_found"),
        ("../files/big.csv", 422, "invalid_request"),
        ("/etc/passwd", 422, "invalid_request"),
        ("link.csv", 403, "permission_denied"),
        ("big.csv", 413, "file_too_large"),
    ],
)
def test_what_cannot_be_fetched_is_told(
    admin: httpx.Client, files: str, path: str, status: int, code: str
) -> None:
    answer = admin.post(f"/v1/data-sources/{files}/fetch", json={"path": path})
    error = error_of(answer, status, code, "path")
    assert "passwd" not in error["message"]


def test_tables_are_not_asked_of_files(admin: httpx.Client, files: str) -> None:
    answer = admin.post(f"/v1/data-sources/{files}/query", json={"sql": "SELECT 1"})
    error = error_of(answer, 400, "not_supported")
    assert "holds files" in error["message"]


def test_a_question_may_name_them(server: ThreadedServer, files: str) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.admin_key, max_retries=0) as client:
        model = client.models.list().data[0].id
        answer = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "What is the total?"}],
            extra_body={"data_sources": [{"source_id": "files", "path": "sales/2024/*.csv"}]},
        )
    assert answer.choices[0].message.content


def test_a_root_elsewhere_is_refused(server: ThreadedServer, admin: httpx.Client, allowed: Path) -> None:
    (allowed / "out").unlink(missing_ok=True)
    (allowed / "out").symlink_to("/etc")
    for root in ("/etc", "/", f"{allowed}/..", f"{allowed}/out", str(server.runtime.settings.data_dir)):
        body = {"type": "local_file", "name": "elsewhere", "config": {"root": root}}
        answer = admin.post("/v1/data-sources", json=body)
        error = error_of(answer, 403, "permission_denied", "config.root")
        assert "DEEPANALYZE_LOCAL_ROOTS" in error["message"]


def test_the_data_directory_is_refused_even_where_it_is_allowed(tmp_path: Path) -> None:
    with serving(local_roots=(Path("/"),)) as server, server.client() as admin:
        data_dir = server.runtime.settings.data_dir
        for root in (data_dir, data_dir / "keys", data_dir / "files", data_dir.parent):
            body = {"type": "local_file", "name": "own", "config": {"root": str(root)}}
            answer = admin.post("/v1/data-sources", json=body)
            error = error_of(answer, 403, "permission_denied", "config.root")
            assert "the server's own data directory" in error["message"]
        body = {"type": "local_file", "name": "fine", "config": {"root": str(tmp_path)}}
        assert admin.post("/v1/data-sources", json=body).status_code == 201


def test_without_allowed_roots_there_is_no_such_source(tmp_path: Path) -> None:
    with serving() as server, server.client() as admin:
        body = {"type": "local_file", "name": "any", "config": {"root": str(tmp_path)}}
        answer = admin.post("/v1/data-sources", json=body)
        error = error_of(answer, 403, "permission_denied", "config.root")
        assert "DEEPANALYZE_LOCAL_ROOTS" in error["message"]


def test_analysts_may_not_add_them(server: ThreadedServer, allowed: Path) -> None:
    with server.client(server.user("ada")) as analyst:
        body = {"type": "local_file", "name": "mine", "config": {"root": str(allowed)}}
        answer = analyst.post("/v1/data-sources", json=body)
        error = error_of(answer, 403, "permission_denied", "type")
        assert "only administrators" in error["message"]


def test_the_template_tells_how(admin: httpx.Client) -> None:
    template = admin.get("/v1/data-sources/templates/local_file").json()
    assert template["schema"]["required"] == ["root"]
    assert template["examples"]
    assert template["path_patterns"]
