"""Who a request acts for. Everything below /v1 needs an API key; only a signed link of a file does without."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from deepanalyze.accounts import Accounts, FailedAttempts, Principal, RequestRate, Sessions
from deepanalyze.errors import InvalidApiKey, PermissionDenied
from deepanalyze.logging import bind_request

_SIGNED = re.compile(r"/v1/threads/[^/]+/files/.+", re.DOTALL)

# Both are for the OpenAPI document; the middleware below does the work, before the body is read.
_bearer = HTTPBearer(auto_error=False, description="`Authorization: Bearer <key>`")
_api_key = APIKeyHeader(name="api-key", auto_error=False, description="`api-key: <key>`")
documented = [Depends(_bearer), Depends(_api_key)]


class Authentication:
    """Pure ASGI, so that a wrong key is told before the body is read, and no route can be forgotten."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        accounts: Accounts,
        attempts: FailedAttempts,
        rate: RequestRate,
        sessions: Sessions,
        open_metrics: bool,
    ) -> None:
        self._app = app
        self._accounts = accounts
        self._attempts = attempts
        self._rate = rate
        self._sessions = sessions
        self._open_metrics = open_metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._needs_key(scope):
            principal = await self._authenticated(scope, _key(Headers(scope=scope)))
            scope["state"]["principal"] = principal
            bind_request(scope["state"]["request_id"], principal.user_id)
            self._rate.take(principal)
            with self._sessions.of(principal):
                await self._app(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _needs_key(self, scope: Scope) -> bool:
        path = scope["path"]
        if path == "/metrics":
            return not self._open_metrics
        return (path == "/v1" or path.startswith("/v1/")) and not is_signed_link(scope)

    async def _authenticated(self, scope: Scope, key: str) -> Principal:
        if scope.get("client") is None:  # asked without a socket, in this process
            return await self._accounts.authenticate(key)
        address = scope["state"].get("client_address") or scope["client"][0]
        self._attempts.check(address, key)
        try:
            principal = await self._accounts.authenticate(key)
        except InvalidApiKey:
            self._attempts.failed(address, key)
            raise
        self._attempts.accepted(key)
        return principal


def is_signed_link(scope: Scope) -> bool:
    """Only says that the request claims to be one; the route verifies the signature."""
    return (
        scope["method"] in ("GET", "HEAD")
        and _SIGNED.fullmatch(scope["path"]) is not None
        and "signature" in parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    )


def _key(headers: Headers) -> str:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    key = value.strip() if scheme.lower() == "bearer" else headers.get("api-key", "").strip()
    if not key:
        raise InvalidApiKey("an API key is needed: send `Authorization: Bearer <key>` or `api-key: <key>`")
    return key


async def current_principal(request: Request) -> Principal:
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None:
        raise InvalidApiKey("an API key is needed here; a signed link opens one file only")
    return principal


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]


async def _current_admin(principal: CurrentPrincipal) -> Principal:
    check_administers(principal)
    return principal


def check_administers(principal: Principal) -> None:
    """Raises PermissionDenied."""
    if not principal.is_admin:
        raise PermissionDenied("only administrators may do this")
    if principal.is_narrowed:
        raise PermissionDenied(
            "this API key is narrowed to some sources, and administration needs one that is not"
        )


for_admins = [Depends(_current_admin)]
