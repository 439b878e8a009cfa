"""A service before Azurite that passes requests on and may change what comes back: the lies of a broken one, or what
Azurite does not know. For containers open to all, or a SAS that the change does not touch.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from yarl import URL


@dataclass(slots=True)
class Passing:
    """One request and its answer; `query` may be changed before it is asked, headers and body after."""

    method: str
    query: str
    headers: dict[str, str]
    body: bytes
    status: int = 0


def nothing(_: Passing) -> None:
    pass


@asynccontextmanager
async def front(
    upstream_endpoint: str,
    *,
    ask: Callable[[Passing], None] = nothing,
    answer: Callable[[Passing], None] = nothing,
) -> AsyncIterator[str]:
    """The endpoint to use instead."""
    place = urlsplit(upstream_endpoint)
    async with aiohttp.ClientSession(auto_decompress=False) as upstream:

        async def pass_on(request: web.Request) -> web.StreamResponse:
            path, _, query = request.raw_path.partition("?")
            headers = {k: v for k, v in request.headers.items() if k.lower() != "host"}
            passing = Passing(request.method, query, headers, await request.read())
            ask(passing)
            url = URL(f"{place.scheme}://{place.netloc}{path}?{passing.query}", encoded=True)
            async with upstream.request(
                passing.method, url, headers=passing.headers, data=passing.body or None, allow_redirects=False
            ) as found:
                passing.headers = {k.lower(): v for k, v in found.headers.items()}
                passing.headers.pop("transfer-encoding", None)
                passing.body, passing.status = await found.read(), found.status
            answer(passing)
            if request.method != "HEAD":
                passing.headers["content-length"] = str(len(passing.body))
            response = web.StreamResponse(status=passing.status, headers=passing.headers)
            await response.prepare(request)
            if request.method != "HEAD":
                await response.write(passing.body)
            return response

        app = web.Application(client_max_size=10**8)
        app.router.add_route("*", "/{tail:.*}", pass_on)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}{place.path}"
        finally:
            await runner.cleanup()
