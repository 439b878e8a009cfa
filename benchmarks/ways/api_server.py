"""Serves until it is told to stop: `whole`, `without_audit`, `without_auth`, `without_both`, or `bare`, a FastAPI
application whose routes answer with the bytes that it is given; `create` inserts them into an SQLite table of its own.

Prints its address and a key as JSON. All run as the command runs them: the same uvicorn, logging and durability.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from deepanalyze.accounts import Principal
from deepanalyze.api import create_app
from deepanalyze.api.audited import Audited
from deepanalyze.api.auth import Authentication
from deepanalyze.cli.http import HttpServer
from deepanalyze.cli.loop import run
from deepanalyze.cli.server import listen
from deepanalyze.logging import configure_logging
from deepanalyze.runtime import Runtime, open_runtime
from deepanalyze.settings import Settings

LEFT_OUT = {
    "whole": (),
    "without_audit": (Audited,),
    "without_auth": (Authentication,),
    "without_both": (Audited, Authentication),
}


class ActingAs:
    """In the place of `Authentication`: everybody is the administrator."""

    def __init__(self, app: ASGIApp, *, principal: Principal) -> None:
        self._app = app
        self._principal = principal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["principal"] = self._principal
        await self._app(scope, receive, send)


def main() -> None:
    mode, directory = sys.argv[1], Path(sys.argv[2])
    run(_serve(mode, directory))


async def _serve(mode: str, directory: Path) -> None:
    configure_logging("info", "json")
    listener = listen("127.0.0.1", 0)
    application = _bare(directory) if mode == "bare" else _ours(LEFT_OUT[mode], directory)
    async with application as (app, key):
        server = HttpServer(app)
        serving = asyncio.create_task(server.serve([listener]))
        print(json.dumps({"port": listener.getsockname()[1], "key": key}), flush=True)
        try:
            await asyncio.Event().wait()  # until it is cancelled
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def _ours(left_out: tuple[type, ...], directory: Path) -> AsyncIterator[tuple[FastAPI, str]]:
    settings = Settings(data_dir=directory, requests_per_minute=10**6)
    async with open_runtime(settings, first_key=True) as runtime:
        key = runtime.new_admin_key or ""
        app = create_app(runtime)
        await _leave_out(app, left_out, runtime, key)
        yield app, key


async def _leave_out(app: FastAPI, left_out: tuple[type, ...], runtime: Runtime, key: str) -> None:
    principal = await runtime.accounts.authenticate(key)
    kept = [each for each in app.user_middleware if each.cls not in left_out]
    if Authentication in left_out:
        kept.append(Middleware(ActingAs, principal=principal))
    app.user_middleware = kept


@asynccontextmanager
async def _bare(directory: Path) -> AsyncIterator[tuple[FastAPI, str]]:
    answers = {name: (directory / name).read_bytes() for name in ("create", "list", "get")}
    database = sqlite3.connect(directory / "bare.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE sources (id INTEGER PRIMARY KEY, source TEXT)")
    app = FastAPI()

    @app.post("/v1/data-sources")
    async def create(body: dict[str, Any]) -> Response:
        database.execute("INSERT INTO sources (source) VALUES (?)", (json.dumps(body),))
        return Response(answers["create"], 201, media_type="application/json")

    @app.get("/v1/data-sources")
    async def list_all() -> Response:
        return Response(answers["list"], media_type="application/json")

    @app.get("/v1/data-sources/{id}")
    async def get(id: str) -> Response:
        return Response(answers["get"], media_type="application/json")

    yield app, ""
    database.close()


if __name__ == "__main__":
    main()
