"""What every answer of the API has to be."""

from __future__ import annotations

from typing import Any

import httpx


def error_of(response: httpx.Response, status: int, code: str, param: str | None = None) -> dict[str, Any]:
    """The error of an answer, after checking that it is one and has the one shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert set(answer) == {"error"}
    error: dict[str, Any] = answer["error"]
    assert set(error) == {"message", "type", "code", "param", "request_id", "details"}
    assert error["code"] == code
    assert error["param"] == param
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    assert isinstance(error["details"], list)
    assert error["request_id"] == response.headers["x-request-id"]
    for inside in ("Traceback", "site-packages", "/src/", ".py"):
        assert inside not in response.text
    return error
