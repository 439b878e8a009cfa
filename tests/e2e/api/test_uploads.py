"""What an analysis made, on its way back into a container, over the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from deepanalyze.accounts import Grant
from tests.support.blob_sources import key_config
from tests.support.server import ThreadedServer
from tests.support.services import BlobContainer

REPORT = b"# Report\n\n" + b"All is well. \xe2\x98\x83\n" * 100_000  # more than one block


@pytest.fixture
def results(
    admin: httpx.Client, container: BlobContainer, unique: Callable[[str], str]
) -> Iterator[dict[str, Any]]:
    """A writable source that keeps uploads below `results/`."""
    config = key_config(container, read_only=False, upload_prefix="results")
    made = admin.post(
        "/v1/data-sources", json={"type": "azure_blob", "name": unique("results"), "config": config}
    )
    assert made.status_code == 201, made.text
    yield made.json()
    admin.delete(f"/v1/data-sources/{made.json()['id']}")


def thread_with_report(client: httpx.Client, server: ThreadedServer, source: dict[str, Any]) -> str:
    """A thread that has `out/report ☃.md`, as if its code had written it."""
    made = client.post(f"/v1/data-sources/{source['id']}/fetch", json={"path": "seed.csv"})
    assert made.status_code == 200, made.text
    thread_id: str = made.json()["thread_id"]
    workspace = server.runtime.threads.workspace(thread_id)
    (workspace.root / "out").mkdir()
    (workspace.root / "out" / "report ☃.md").write_bytes(REPORT)
    return thread_id


def upload(client: httpx.Client, source: dict[str, Any], thread_id: str, **body: Any) -> httpx.Response:
    wanted = {"thread_id": thread_id, "file": "out/report ☃.md", "path": "results/2025/report ☃.md", **body}
    headers = {"X-Request-ID": "upload-1"}
    return client.post(f"/v1/data-sources/{source['id']}/upload", json=wanted, headers=headers)


@pytest.mark.requirement("1.4")
def test_a_file_goes_back_into_the_container(
    admin: httpx.Client, server: ThreadedServer, container: BlobContainer, results: dict[str, Any]
) -> None:
    container.client.upload_blob("seed.csv", b"x\n")
    thread_id = thread_with_report(admin, server, results)
    written = upload(admin, results, thread_id)
    assert written.status_code == 201, written.text
    blob = container.client.get_blob_client("results/2025/report ☃.md")
    properties = blob.get_blob_properties()
    assert written.json() == {
        "name": "report ☃.md",
        "path": "results/2025/report ☃.md",
        "kind": "blob",
        "size": len(REPORT),
        "modified_at": int(properties.last_modified.timestamp()),
        "metadata": {"content_type": "text/markdown", "etag": properties.etag},
    }
    assert blob.download_blob().readall() == REPORT
    assert properties.metadata == {"deepanalyze_thread": thread_id, "deepanalyze_request": "upload-1"}


def test_nothing_is_replaced_unless_it_was_asked_for(
    admin: httpx.Client, server: ThreadedServer, container: BlobContainer, results: dict[str, Any]
) -> None:
    container.client.upload_blob("seed.csv", b"x\n")
    container.client.upload_blob("results/mine.md", b"mine")
    thread_id = thread_with_report(admin, server, results)
    refused = upload(admin, results, thread_id, path="results/mine.md")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "already_exists")
    assert container.client.get_blob_client("results/mine.md").download_blob().readall() == b"mine"
    # what was remembered of the blob is forgotten with it
    described = f"/v1/data-sources/{results['id']}/metadata?path=results/mine.md"
    assert admin.get(described).json()["size"] == 4
    assert upload(admin, results, thread_id, path="results/mine.md", overwrite=True).status_code == 201
    assert admin.get(described).json()["size"] == len(REPORT)


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"path": "elsewhere/report.md"}, 403, "permission_denied", "path"),
        ({"path": "resultsreport.md"}, 403, "permission_denied", "path"),
        ({"path": "results/../seed.csv"}, 422, "invalid_request", "path"),
        ({"path": "results/"}, 422, "invalid_request", "path"),
        ({"path": "results/a?snapshot=2025-01-01T00:00:00.0000000Z"}, 422, "invalid_request", "path"),
        ({"file": "nothing.md"}, 404, "not_found", None),
        ({"file": "../fetched.json"}, 404, "not_found", None),
        ({"file": "out"}, 404, "not_found", None),
        ({"thread_id": "thread-nobody-has"}, 404, "not_found", None),
        ({"owerwrite": True}, 422, "invalid_request", "owerwrite"),
    ],
)
def test_what_is_refused(
    admin: httpx.Client,
    server: ThreadedServer,
    container: BlobContainer,
    results: dict[str, Any],
    body: dict[str, Any],
    status: int,
    code: str,
    param: str | None,
) -> None:
    container.client.upload_blob("seed.csv", b"x\n")
    body = dict(body)
    thread_id = body.pop("thread_id", None) or thread_with_report(admin, server, results)
    refused = upload(admin, results, thread_id, **body)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (status, code), error
    if param is not None:
        assert error["param"] == param
    assert [blob.name for blob in container.client.list_blobs()] == ["seed.csv"]


def test_links_out_of_the_workspace_are_not_followed(
    admin: httpx.Client, server: ThreadedServer, container: BlobContainer, results: dict[str, Any]
) -> None:
    container.client.upload_blob("seed.csv", b"x\n")
    thread_id = thread_with_report(admin, server, results)
    (server.runtime.threads.workspace(thread_id).root / "link").symlink_to("/etc/passwd")
    assert upload(admin, results, thread_id, file="link").status_code == 404


def test_writing_is_a_right_of_its_own(
    server: ThreadedServer,
    admin: httpx.Client,
    container: BlobContainer,
    results: dict[str, Any],
    user: Callable[..., str],
) -> None:
    container.client.upload_blob("seed.csv", b"x\n")
    reader, writer = (user([Grant(results["id"], use=True, write=write)]) for write in (False, True))
    with server.client(reader) as client:
        refused = upload(client, results, thread_with_report(client, server, results))
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
    with server.client(writer) as client:
        thread_id = thread_with_report(client, server, results)
        assert upload(client, results, thread_id).status_code == 201
    with server.client(user([Grant(results["id"], use=True, write=True)])) as stranger:
        assert upload(stranger, results, thread_id, path="results/stolen").status_code == 404
    with server.client(user()) as nobody:
        assert upload(nobody, results, thread_id).status_code == 404


def test_a_read_only_source_takes_nothing(
    admin: httpx.Client, server: ThreadedServer, container: BlobContainer, unique: Callable[[str], str]
) -> None:
    container.client.upload_blob("seed.csv", b"x\n")
    config = key_config(container)
    body = {"type": "azure_blob", "name": unique("readonly"), "config": config}
    source = admin.post("/v1/data-sources", json=body).json()
    refused = upload(admin, source, thread_with_report(admin, server, source))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "read_only_violation")
    assert "set read_only to false" in refused.json()["error"]["message"]


def test_databases_take_no_files(
    admin: httpx.Client,
    postgres_database: Any,
    server: ThreadedServer,
    unique: Callable[[str], str],
    container: BlobContainer,
    results: dict[str, Any],
) -> None:
    container.client.upload_blob("seed.csv", b"x\n")
    body = {"type": "postgresql", "name": unique("db"), "config": postgres_database.analyst_config}
    source = admin.post("/v1/data-sources", json=body).json()
    refused = upload(admin, source, thread_with_report(admin, server, results))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "not_supported")
    admin.delete(f"/v1/data-sources/{source['id']}")
