"""Blob versions, which Azurite does not keep: a service before it that keeps them as snapshots there.

It speaks the protocol's part that matters here: `versionid` in the query, `x-ms-version-id` in answers, and
`x-ms-is-current-version` for the blob itself. For containers open to all, since a signature would not fit any more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from yarl import URL


@asynccontextmanager
async def versions_before(upstream_endpoint: str) -> AsyncIterator[str]:
    """The endpoint to use instead."""
    parts = urlsplit(upstream_endpoint)
    async with aiohttp.ClientSession(auto_decompress=False) as upstream:

        async def answer(request: web.Request) -> web.StreamResponse:
            query = request.rel_url.query_string
            version = request.query.get("versionid")
            path = request.raw_path.partition("?")[0]
            raw = request.raw_path.partition("?")[2].replace("versionid=", "snapshot=")
            url = URL(f"{parts.scheme}://{parts.netloc}{path}?{raw}", encoded=True)
            headers = {k: v for k, v in request.headers.items() if k.lower() != "host"}
            async with upstream.request(
                request.method, url, headers=headers, data=await request.read() or None, allow_redirects=False
            ) as found:
                kept = {k: v for k, v in found.headers.items() if k.lower() not in ("transfer-encoding",)}
                kept.pop("x-ms-snapshot", None)
                if version is not None:
                    kept["x-ms-version-id"] = version
                elif "comp=" not in query:
                    kept["x-ms-version-id"], kept["x-ms-is-current-version"] = "now", "true"
                response = web.StreamResponse(status=found.status, headers=kept)
                await response.prepare(request)
                if request.method != "HEAD":
                    async for chunk in found.content.iter_any():
                        await response.write(chunk)
                return response

        app = web.Application(client_max_size=10**8)
        app.router.add_route("*", "/{tail:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}{parts.path}"
        finally:
            await runner.cleanup()
