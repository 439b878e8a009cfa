"""Every kind of error has the one shape, and says what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from tests.support.answers import error_of
from tests.support.server import ThreadedServer

CHAT = "/v1/chat/completions"
HELLO = {"model": "deepanalyze-profiler", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.requirement("7.4")
def test_no_such_route(admin: httpx.Client) -> None:
    assert "/docs" in error_of(admin.get("/v1/nothing"), 404, "not_found")["message"]
    error_of(admin.get("/nothing"), 404, "not_found")
    error_of(admin.get("/v1/files/"), 404, "not_found")


def test_no_such_method(admin: httpx.Client) -> None:
    answer = admin.put("/v1/models")
    error_of(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer"}, {"Authorization": "Basic YTpi"}, {"api-key": ""}]
)
@pytest.mark.parametrize("path", ["/v1/models", "/v1/nothing", "/v1/threads/x/files/y", "/v1"])
def test_no_key(anonymous: httpx.Client, headers: dict[str, str], path: str) -> None:
    answer = anonymous.get(path, headers=headers)
    error_of(answer, 401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", ["sk-da-wrong", "x" * 5000, "sk-da-'; DROP TABLE api_keys;--"])
def test_wrong_key(anonymous: httpx.Client, key: str) -> None:
    error_of(anonymous.get("/v1/models", headers={"Authorization": f"Bearer {key}"}), 401, "invalid_api_key")


def test_both_ways_to_send_a_key(server: ThreadedServer, anonymous: httpx.Client) -> None:
    key = server.admin_key
    for headers in ({"Authorization": f"bearer {key}"}, {"api-key": key}, {"Api-Key": key}):
        assert anonymous.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/docs", "/openapi.json"])
def test_what_needs_no_key(anonymous: httpx.Client, path: str) -> None:
    assert anonymous.get(path).status_code == 200


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (b"", None),
        (b"{", None),
        (b'{"model": "x", }', None),
        (b"[]", None),
        (b"null", None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
        (b'{"model": NaN}', None),
        (b'{"temperature": 1e999}', None),
        (b'{"model": "\\ud800"}', None),
        (b'{"n": ' + b"9" * 5000 + b"}", None),
    ],
)
def test_a_body_that_is_no_json_object(admin: httpx.Client, content: bytes, param: str | None) -> None:
    answer = admin.post(CHAT, content=content, headers={"Content-Type": "application/json"})
    error_of(answer, 422, "invalid_request", param)


@pytest.mark.parametrize("body", [[], "x", None, 5])
def test_a_body_that_is_no_object_is_told_so(admin: httpx.Client, body: Any) -> None:
    answer = admin.post(CHAT, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert "JSON object" in error_of(answer, 422, "invalid_request")["message"]


def test_a_body_of_another_type(admin: httpx.Client) -> None:
    answer = admin.post(CHAT, content=json.dumps(HELLO), headers={"Content-Type": "text/plain"})
    assert "Content-Type: application/json" in error_of(answer, 422, "invalid_request")["message"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"n": 2}, "n"),
        ({"temperature": "hot"}, "temperature"),
        ({"data_sources": [{"source_id": "a", "path": "x", "table": "y"}]}, "data_sources[0]"),
        ({"data_sources": [{"source_id": "a", "tabel": "y"}]}, "data_sources[0].tabel"),
        (
            {"messages": [{"role": "user", "content": "x", "data_sources": [{"path": "x"}]}]},
            "messages[0].data_sources[0].source_id",
        ),
    ],
)
def test_a_wrong_field_is_named(admin: httpx.Client, change: dict[str, Any], param: str) -> None:
    error = error_of(admin.post(CHAT, json={**HELLO, **change}), 422, "invalid_request", param)
    assert error["details"][0]["param"] == param


def test_a_missing_field_is_named(admin: httpx.Client) -> None:
    error = error_of(admin.post(CHAT, json={}), 422, "invalid_request", "model")
    assert [detail["param"] for detail in error["details"]] == ["model", "messages"]


def test_what_a_wrong_field_held_is_not_repeated(admin: httpx.Client) -> None:
    wrong = {"type": "toy", "name": "x", "config": {"toys": "hunter2", "password": 5, "hunter3": 1}}
    answer = admin.post("/v1/data-sources", json={**wrong, "metadata": "hunter4"})
    error_of(answer, 422, "invalid_request", "metadata")
    answer = admin.post("/v1/data-sources", json=wrong)
    assert error_of(answer, 422, "invalid_request", "config.toys")["details"]
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=1001", "cursor=x", "cursor=%00"])
def test_a_wrong_parameter_is_named(admin: httpx.Client, query: str) -> None:
    for path in ("/v1/files", "/v1/threads", "/v1/data-sources"):
        error_of(admin.get(f"{path}?{query}"), 422, "invalid_request", query.partition("=")[0])


def test_a_body_that_is_too_large(admin: httpx.Client) -> None:
    error_of(admin.post("/v1/data-sources", content=b" " * (1024**2 + 1)), 413, "request_too_large")


def test_a_body_that_turns_out_too_large(admin: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    headers = {"Content-Type": "application/json"}
    error_of(admin.post("/v1/data-sources", content=chunks(), headers=headers), 413, "request_too_large")


def test_a_large_body_of_a_stranger_is_not_read(anonymous: httpx.Client) -> None:
    error_of(anonymous.post("/v1/files", content=b" " * 3_000_000), 401, "invalid_api_key")


def test_a_defect_is_told_without_its_insides(
    server: ThreadedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(type(server.runtime.models), "list", broken)
    with server.client() as admin, capture_logs() as logs:
        error_of(admin.get("/v1/models"), 500, "internal_error")
        assert "secret" not in admin.get("/v1/models").text
    assert [entry for entry in logs if entry["event"] == "request failed" and entry["log_level"] == "error"]


@pytest.mark.parametrize("given", ["req-42", "a" * 128, "A.b_c-1"])
def test_a_well_formed_request_id_is_kept(admin: httpx.Client, given: str) -> None:
    assert admin.get("/v1/models", headers={"X-Request-ID": given}).headers["x-request-id"] == given
    assert (
        error_of(admin.get("/v1/x", headers={"X-Request-ID": given}), 404, "not_found")["request_id"] == given
    )


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", "<script>", "ü", "a\tb"])
def test_any_other_request_id_is_replaced(admin: httpx.Client, given: str) -> None:
    answer = admin.get("/health", headers={"X-Request-ID": given.encode()})
    assert answer.headers["x-request-id"].startswith("req-")


def test_the_document_describes_every_route_and_its_errors(anonymous: httpx.Client) -> None:
    document = anonymous.get("/openapi.json").json()
    operations = [
        (path, operation) for path, methods in document["paths"].items() for operation in methods.values()
    ]
    assert len(operations) > 20
    for path, operation in operations:
        if path.startswith("/v1"):
            assert {"401", "422", "500"} <= set(operation["responses"]), path
            assert operation["security"], path
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_operation_says_what_it_does(anonymous: httpx.Client) -> None:
    document = anonymous.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            said = operation["summary"]
            assert said != said.title(), f"{method} {path}: made from its function's name"
