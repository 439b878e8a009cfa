"""What a request's body may be: how large, told before it is read where its length is announced, and what JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepanalyze.errors import DeepAnalyzeError, FileTooLarge, InvalidRequest, RequestTooLarge

MULTIPART_OVERHEAD = 1024**2  # headers and small fields around an uploaded file
MAX_CHAT_BYTES = 16 * 1024**2  # images travel inside
MAX_BODY_BYTES = 1024**2


class BodyLimit:
    def __init__(self, app: ASGIApp, *, max_file_bytes: int) -> None:
        self._app = app
        self._max_file_bytes = max_file_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit, refusal = self._limit(scope["path"])
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            raise refusal
        await self._app(scope, _counted(receive, limit, refusal), send)

    def _limit(self, path: str) -> tuple[int, DeepAnalyzeError]:
        if path == "/v1/files":
            message = f"the file is larger than {self._max_file_bytes:,} bytes (max_file_bytes)"
            return self._max_file_bytes + MULTIPART_OVERHEAD, FileTooLarge(message, param="file")
        limit = MAX_CHAT_BYTES if path == "/v1/chat/completions" else MAX_BODY_BYTES
        return limit, RequestTooLarge(
            f"the body is larger than {limit:,} bytes; upload data as files instead"
        )


def _counted(receive: Receive, limit: int, refusal: DeepAnalyzeError) -> Receive:
    read = 0

    async def counted() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > limit:
            raise refusal
        return message

    return counted


class JsonRoute(APIRoute):
    """Reads bodies as JSON in the strict sense: what Python's parser lets pass besides could be neither stored nor
    answered.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(_StrictRequest(request.scope, request.receive))

        return handle


class _StrictRequest(Request):
    async def json(self) -> Any:
        text = (await self.body()).decode()
        parsed = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        if "\\u" in text:
            _check_unicode(parsed)
        return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRequest(f"the body is not valid JSON: {name} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise InvalidRequest(f"the body holds a number that is too large: {digits[:40]}")
    return number


def _check_unicode(parsed: Any) -> None:
    try:
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidRequest("the body holds half of a surrogate pair, which is no character") from None
