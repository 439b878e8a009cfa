"""Binds the audit trail to each request: who asks and from where; an answer waits for the record of its change."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepanalyze.api.errors import error_response
from deepanalyze.audit import Action, AuditTrail, Origin, bound, note
from deepanalyze.errors import DeepAnalyzeError, InvalidApiKey, PermissionDenied

_READING = ("GET", "HEAD", "OPTIONS")


class Audited:
    """What the services note themselves is theirs. Noted here is what never reaches them: wrong keys, other refusals
    (also those of the layers in between: addresses, names of the server), and changes below `/v1/admin/` that failed.
    """

    def __init__(self, app: ASGIApp, *, trail: AuditTrail) -> None:
        self._app = app
        self._trail = trail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = Origin(
            self._trail,
            request_id=scope["state"]["request_id"],
            client_address=scope["state"].get("client_address"),
            who=lambda: _who(scope),
        )
        with bound(origin):
            try:
                await self._app(scope, receive, _Held(origin, scope, receive, send).send)
            except (InvalidApiKey, PermissionDenied) as error:
                action: Action = "login_failure" if isinstance(error, InvalidApiKey) else "request"
                told = {"method": scope["method"], "path": scope["path"], "reason": error.message}
                note(action, "refused", code=error.code, details=told)
                raise


class _Held:
    """Lets the answer out once the records of its request's changes are durable; when they cannot be, the answer is
    that error.
    """

    def __init__(self, origin: Origin, scope: Scope, receive: Receive, send: Send) -> None:
        self._origin = origin
        self._scope = scope
        self._receive = receive
        self._send = send
        self._replaced = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._note(message["status"])
            try:
                await self._origin.settle()
            except DeepAnalyzeError as error:
                self._replaced = True
                response = error_response(error, self._scope["state"]["request_id"])
                await response(self._scope, self._receive, self._send)
        if not self._replaced:
            await self._send(message)

    def _note(self, status: int) -> None:
        if status < 400 or self._origin.told:
            return
        told = {"method": self._scope["method"], "path": self._scope["path"], "status": status}
        if status == 403:
            note("request", "refused", code="permission_denied", details=told)
        elif told["path"].startswith("/v1/admin/") and told["method"] not in _READING:
            note("admin", "failed", details=told)


def _who(scope: Scope) -> tuple[str | None, str | None]:
    principal = scope["state"].get("principal")
    return (None, None) if principal is None else (principal.user_id, principal.key_id)
