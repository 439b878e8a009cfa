"""The outermost layer of every request: its id, the last net for defects, and one record in the log."""

from __future__ import annotations

import re
import time
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepanalyze.api.errors import error_response
from deepanalyze.api.security_headers import SecurityHeaders
from deepanalyze.errors import DeepAnalyzeError, InternalError
from deepanalyze.logging import bind_request
from deepanalyze.telemetry import Telemetry

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,128}")

log = structlog.get_logger()


class Edge:
    """Gives the request its id (`X-Request-ID`, the client's own when it is well formed) and every answer the same.

    What no handler knows becomes `internal_error`; the traceback goes to the log only.
    """

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry, public_url: str | None) -> None:
        self._app = app
        self._telemetry = telemetry
        self._security = SecurityHeaders(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _WELL_FORMED.fullmatch(given) else f"req-{uuid.uuid4().hex}"
        scope.setdefault("state", {})["request_id"] = request_id
        bind_request(request_id)
        answer = _Answer(self._app, self._telemetry, self._security, scope, receive, send, request_id)
        await answer.run()


class _Answer:
    """One request on its way: what has been sent so far decides what can still be said."""

    def __init__(
        self,
        app: ASGIApp,
        telemetry: Telemetry,
        security: SecurityHeaders,
        scope: Scope,
        receive: Receive,
        send: Send,
        request_id: str,
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._security = security
        self._scope = scope
        self._receive = receive
        self._raw_send = send
        self._request_id = request_id
        self._status = 0

    async def run(self) -> None:
        started = time.perf_counter()
        try:
            await self._app(self._scope, self._receive, self._send)
        except DeepAnalyzeError as error:
            await self._fail(error)
        except Exception:
            log.exception("request failed", method=self._scope["method"], path=self._scope["path"])
            await self._fail(InternalError("something went wrong in DeepAnalyze; its log has the details"))
        finally:
            self._record(started)

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._request_id
            self._security.add(headers, self._scope["path"])
        await self._raw_send(message)

    async def _fail(self, error: DeepAnalyzeError) -> None:
        if self._status == 0:  # otherwise the answer breaks off, and the server closes the connection
            await error_response(error, self._request_id)(self._scope, self._receive, self._send)

    def _record(self, started: float) -> None:
        path = self._scope["path"]
        seconds = time.perf_counter() - started
        self._telemetry.answered(self._scope["method"], _route(self._scope), self._status, seconds)
        record = log.debug if path.startswith("/health") and self._status < 400 else log.info
        record(
            "request",  # never with its query string: links are signed there
            method=self._scope["method"],
            path=path,
            status=self._status or None,
            duration_ms=round(seconds * 1000, 1),
        )


def _route(scope: Scope) -> str:
    """As the OpenAPI document has it. The router keeps it without the prefix that it was included under."""
    path: str | None = getattr(scope.get("route"), "path", None)
    if path is None:
        return "unknown"
    return f"/v1{path}" if scope["path"].startswith("/v1/") and not path.startswith("/v1/") else path
