"""Microsoft Entra as far as tokens go, on this machine: App Service's identity endpoint, and the token endpoint of a
tenant over TLS. Both check what they are asked, as the real ones do.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.support.canaries import canary

RESOURCE = "https://ossrdbms-aad.database.windows.net"
TENANT, CLIENT = "tenant-1", "client-1"
SECRET, HEADER, TOKEN = canary("client secret"), canary("identity header"), canary("Entra token")


@dataclass(slots=True)
class Entra:
    """`token` is what it hands out, good for `lifetime_s`; `asked` counts how often."""

    token: str = TOKEN
    lifetime_s: int = 3600
    asked: int = 0
    url: str = ""
    resource: str = RESOURCE
    failures: list[int] = field(default_factory=list)
    """Statuses to answer with before anything else."""

    async def identity(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.failures:
            return web.json_response({"message": "not now"}, status=self.failures.pop(0))
        if (
            request.headers.get("X-IDENTITY-HEADER") != HEADER
            or request.query.get("resource") != self.resource
        ):
            return web.json_response({"statusCode": 400, "message": "wrong header or resource"}, status=400)
        expires_on = str(int(time.time()) + self.lifetime_s)
        return web.json_response(
            {
                "access_token": self.token,
                "expires_on": expires_on,
                "resource": self.resource,
                "token_type": "Bearer",
            }
        )

    async def tenant(self, request: web.Request) -> web.Response:
        self.asked += 1
        form = await request.post()
        if form.get("grant_type") != "client_credentials" or form.get("scope") != f"{self.resource}/.default":
            return _refusal("invalid_request", "AADSTS900144: The request body is wrong.", 400)
        if form.get("client_id") != CLIENT:
            return _refusal(
                "unauthorized_client", f"AADSTS700016: no application {form.get('client_id')}", 400
            )
        if "client_assertion" in form:  # a certificate's; its signature is Entra's to check
            if str(form["client_assertion"]).count(".") != 2:
                return _refusal("invalid_client", "AADSTS50027: The JWT is malformed.", 401)
        elif form.get("client_secret") != SECRET:
            return _refusal("invalid_client", "AADSTS7000215: Invalid client secret provided.", 401)
        return web.json_response(
            {"token_type": "Bearer", "expires_in": self.lifetime_s, "access_token": self.token}
        )


def _refusal(error: str, description: str, status: int) -> web.Response:
    return web.json_response({"error": error, "error_description": description}, status=status)


@asynccontextmanager
async def entra_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[Entra]:
    entra = Entra()
    app = web.Application()
    app.router.add_get("/msi/token", entra.identity)
    app.router.add_post(f"/{TENANT}/oauth2/v2.0/token", entra.tenant)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        entra.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield entra
    finally:
        await runner.cleanup()
