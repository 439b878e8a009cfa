"""Every operation of the OpenAPI document with input that nobody means well: no 5xx, and no undeclared status."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.answers import error_of

NASTY: list[str] = [
    "\x00",
    "\udcff",
    "☃" * 50,
    "../../etc/passwd",
    "'; DROP TABLE users;--",
    "%s%n{}${env:HOME}",
    "a" * 3000,
    "-1",
    "9" * 400,
    "\r\nX-Evil: 1",
    "\u202e\u2028",
]
NASTY_JSON: list[Any] = [
    None,
    True,
    -1,
    1e308,
    "\x00",
    "☃" * 50,
    "a" * 3000,
    [],
    {},
    [[]],
    {"a": {"b": [None]}},
    [{}],
]


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def queries(operation: dict[str, Any]) -> list[str]:
    return [p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"]


def fields(operation: dict[str, Any], document: dict[str, Any]) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return []
    name = content["schema"]["$ref"].rpartition("/")[2]
    return list(document["components"]["schemas"][name]["properties"])


def escaped(text: str) -> str:
    return quote(text.encode(errors="surrogateescape"), safe="")


def requests(document: dict[str, Any]) -> Iterator[tuple[httpx.Request, dict[str, Any]]]:
    for method, path, operation in operations(document):
        for nasty in NASTY:
            target = re.sub(r"\{\w+\}", lambda _, n=nasty: escaped(n), path)
            body = {"json": {}} if "requestBody" in operation else {}
            yield httpx.Request(method, f"http://x{target}", **body), operation  # type: ignore[arg-type]
            for name in queries(operation):
                plain = re.sub(r"\{\w+\}", "x", path)
                yield httpx.Request(method, f"http://x{plain}?{name}={escaped(nasty)}", **body), operation  # type: ignore[arg-type]
        for name, value in itertools.product(fields(operation, document), NASTY_JSON):
            body = {
                "model": "m",
                "messages": [{"role": "user", "content": "x"}],
                "type": "toy",
                "name": "x",
                "config": {},
            }
            known = {key: body[key] for key in fields(operation, document) if key in body}
            plain = re.sub(r"\{\w+\}", "x", path)
            yield httpx.Request(method, f"http://x{plain}", json={**known, name: value}), operation


@pytest.mark.requirement("7.4")
@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.long)])
def test_nasty_input_is_answered_politely(ada: httpx.Client, every: int) -> None:
    document = ada.get("/openapi.json").json()
    count = 0
    for request, operation in itertools.islice(requests(document), 0, None, every):
        sent = ada.build_request(
            request.method, request.url.raw_path.decode(), content=request.content, headers=_type_of(request)
        )
        answer = ada.send(sent)
        count += 1
        assert answer.status_code < 500, (sent.method, sent.url, request.content, answer.text)
        declared = {*operation["responses"], "404", "405"}  # an odd path may lead to no route at all
        assert str(answer.status_code) in declared, (sent.method, sent.url, answer.text)
        if answer.status_code >= 400:
            error = answer.json()["error"]
            error_of(answer, answer.status_code, error["code"], error["param"])
    assert count > 700 / every


def _type_of(request: httpx.Request) -> dict[str, str]:
    return {"Content-Type": request.headers["content-type"]} if "content-type" in request.headers else {}
