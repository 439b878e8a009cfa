"""How an error becomes an answer: the only place that knows which HTTP status belongs to a code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from deepanalyze.errors import (
    DeepAnalyzeError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
)

STATUS: Mapping[str, int] = {
    "invalid_request": 422,
    "range_not_satisfiable": 416,
    "invalid_api_key": 401,
    "permission_denied": 403,
    "read_only_violation": 403,
    "host_not_allowed": 403,
    "not_found": 404,
    "blob_not_found": 404,
    "table_not_found": 404,
    "model_not_found": 404,
    "method_not_allowed": 405,
    "already_exists": 409,
    "cancelled": 409,
    "stale": 412,
    "request_too_large": 413,
    "file_too_large": 413,
    "result_too_large": 413,
    "quota_exceeded": 413,
    "rate_limited": 429,
    "query_timeout": 504,
    "query_too_costly": 413,
    "query_failed": 400,
    "not_supported": 400,
    "source_authentication_failed": 424,
    "source_unavailable": 424,
    "model_unavailable": 502,
    "busy": 503,
    "sandbox_unavailable": 503,
    "startup_error": 500,
    "configuration_error": 500,
    "internal_error": 500,
}

_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    412: "conflict_error",
    424: "data_source_error",
    429: "rate_limit_error",
    502: "model_error",
}


def status_of(error: DeepAnalyzeError) -> int:
    return STATUS.get(error.code, 500)


def error_object(error: DeepAnalyzeError, request_id: str) -> dict[str, Any]:
    """The value of `error` in every answer and in streams."""
    status = status_of(error)
    fallback = "server_error" if status >= 500 else "invalid_request_error"
    return {
        "message": error.message,
        "type": _TYPES.get(status, fallback),
        "code": error.code,
        "param": error.param,
        "request_id": request_id,
        "details": error.details,
    }


def error_response(
    error: DeepAnalyzeError, request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    extra = dict(headers or {})
    if error.retry_after_s is not None or error.code in ("busy", "rate_limited"):
        extra["Retry-After"] = str(max(1, math.ceil(error.retry_after_s or 1)))
    if error.code == "invalid_api_key":
        extra["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": error_object(error, request_id)}, status_of(error), extra)


def request_id_of(request: Request) -> str:
    return str(getattr(request.state, "request_id", ""))


def add_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(DeepAnalyzeError, _on_own_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_framework_error)


async def _on_own_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DeepAnalyzeError)
    return error_response(error, request_id_of(request))


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return error_response(_as_invalid_request(error), request_id_of(request))


async def _on_framework_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(_of_framework(request, error), request_id_of(request), error.headers)


def _of_framework(request: Request, error: HTTPException) -> DeepAnalyzeError:
    if isinstance(error.__cause__, DeepAnalyzeError):  # raised while the framework read the body
        return error.__cause__
    if error.status_code == 404:
        return NotFound(f"there is no {request.url.path[:200]}; /docs lists what there is")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return MethodNotAllowed(f"{request.method} is not possible here; allowed: {allowed}")
    if isinstance(error.__cause__, RecursionError):
        return InvalidRequest("the body is nested too deeply")
    if isinstance(error.__cause__, UnicodeError):
        return InvalidRequest("the body is not valid UTF-8")
    if 400 <= error.status_code < 500:
        return InvalidRequest(f"the body cannot be read: {error.detail}")
    return InternalError(str(error.detail))


def _as_invalid_request(error: RequestValidationError) -> InvalidRequest:
    """Says which fields are wrong and why; never what they held, because that may be a secret."""
    details = [
        {
            "param": _param(found["loc"], error.body),
            "code": found["type"],
            "message": _reason(found, error.body),
        }
        for found in error.errors()
    ]
    first = details[0]
    message = f"{first['param']}: {first['message']}" if first["param"] else str(first["message"])
    if len(details) > 1:
        message += f" (and {len(details) - 1} more, see details)"
    return InvalidRequest(message, param=first["param"], details=details)


def _reason(found: Mapping[str, Any], body: Any) -> str:
    kind, loc = found["type"], tuple(found["loc"])
    if kind == "json_invalid":
        return f"the body is not valid JSON: {found['ctx']['error']} at character {loc[-1]}"
    if loc == ("body",) and kind == "missing":
        return "a JSON body is required"
    if loc == ("body",) and isinstance(body, bytes):
        return "the body must be JSON, sent with Content-Type: application/json"
    if kind == "model_attributes_type":
        return "must be a JSON object" if len(loc) > 1 else "the body must be a JSON object"
    if kind == "extra_forbidden":
        return "there is no such field"
    return str(found["msg"]).removeprefix("Value error, ")


def _param(loc: Sequence[int | str], body: Any) -> str | None:
    """`("body", "messages", 0, "content")` as `messages[0].content`. Pydantic puts the names of union members in
    between; what the body does not hold is left out, but for a missing field at the end.
    """
    where, *rest = loc
    if where != "body":
        return ".".join(str(part) for part in rest) or None
    path, here = "", body
    for index, part in enumerate(rest):
        if isinstance(here, Mapping) and part in here:
            path, here = f"{path}.{part}", here[part]
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            path, here = f"{path}[{part}]", here[part]
        elif isinstance(here, Mapping) and index == len(rest) - 1:
            path = f"{path}.{part}"
    return path.lstrip(".") or None
