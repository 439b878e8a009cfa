"""The one shape of errors."""

from __future__ import annotations

import inspect

import pytest
from fastapi.exceptions import RequestValidationError

from deepanalyze import errors
from deepanalyze.api.errors import STATUS, _as_invalid_request, error_object, error_response
from deepanalyze.errors import Busy, DeepAnalyzeError, FetchFailed, InvalidApiKey, QueryFailed, TableNotFound
from tests.support.canaries import canary

SECRET = canary("wrong input")

ALL = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, DeepAnalyzeError) and found not in (DeepAnalyzeError, FetchFailed)
]


@pytest.mark.parametrize("error_class", ALL, ids=lambda c: c.__name__)
def test_every_error_has_a_status_of_its_own_code(error_class: type[DeepAnalyzeError]) -> None:
    assert error_class.code in STATUS


def test_no_status_without_an_error() -> None:
    assert set(STATUS) == {error_class.code for error_class in ALL}


def test_the_object_has_every_field() -> None:
    error = QueryFailed("no such column", param="query", details=[{"sqlstate": "42703"}])
    assert error_object(error, "req-1") == {
        "message": "no such column",
        "type": "invalid_request_error",
        "code": "query_failed",
        "param": "query",
        "request_id": "req-1",
        "details": [{"sqlstate": "42703"}],
    }


def test_a_failed_fetch_has_the_status_of_its_cause() -> None:
    cause = TableNotFound("no table 'x'")
    answer = error_response(FetchFailed([("messages[0].data_sources[1]", cause)]), "req-1")
    assert answer.status_code == 404


def test_busy_says_when_to_come_back() -> None:
    assert error_response(Busy("no kernel came free", retry_after_s=2.2), "r").headers["Retry-After"] == "3"
    assert error_response(Busy("no kernel came free"), "r").headers["Retry-After"] == "1"


def test_a_missing_key_is_asked_for() -> None:
    assert error_response(InvalidApiKey("no"), "r").headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("loc", "body", "param"),
    [
        (("body", "messages", 0, "content", "parts", 1, "text"), {"messages": [{"content": [{}, {}]}]}, None),
        (("body", "messages", 0, "role"), {"messages": [{"role": "x"}]}, "messages[0].role"),
        (("body", "messages", 0, "role"), {"messages": [{}]}, "messages[0].role"),
        (("body", "n", "literal"), {"n": 2}, "n"),
        (("body", "data_sources", 1), {"data_sources": [{}, {}]}, "data_sources[1]"),
        (("body",), [], None),
        (("query", "limit"), None, "limit"),
    ],
)
def test_the_param_is_the_path_in_the_body(
    loc: tuple[str | int, ...], body: object, param: str | None
) -> None:
    found = RequestValidationError([{"type": "x", "loc": loc, "msg": "is wrong", "input": SECRET}], body=body)
    error = _as_invalid_request(found)
    expected = "messages[0].content[1].text" if param is None and len(loc) > 5 else param
    assert error.param == expected
    assert SECRET not in str(error_object(error, "r"))


def test_every_wrong_field_has_an_entry() -> None:
    wrong = [
        {"type": "missing", "loc": ("body", name), "msg": "Field required"} for name in ("model", "messages")
    ]
    error = _as_invalid_request(RequestValidationError(wrong, body={}))
    assert [detail["param"] for detail in error.details] == ["model", "messages"]
    assert error.message == "model: Field required (and 1 more, see details)"
