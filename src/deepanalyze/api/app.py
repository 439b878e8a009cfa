"""The HTTP API as one ASGI application."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from deepanalyze.api import (
    api_keys,
    audit,
    chat,
    data_sources,
    files,
    health,
    metrics,
    models,
    source_contents,
    source_queries,
    source_transfers,
    templates,
    thread_files,
    threads,
    upkeep,
    users,
)
from deepanalyze.api.audited import Audited
from deepanalyze.api.auth import Authentication, documented
from deepanalyze.api.bodies import BodyLimit
from deepanalyze.api.edge import Edge
from deepanalyze.api.errors import add_error_handlers
from deepanalyze.api.network import ClientAddress, Clients, Hosts
from deepanalyze.api.services import Services
from deepanalyze.settings import Settings

DESCRIPTION = """Answers questions about data that stays where it is. Compatible with OpenAI's API: point any of its
clients at `/v1`. Errors of every route have one shape, `{"error": {"message", "type", "code", "param", "request_id",
"details"}}`, and every answer carries `X-Request-ID`."""


def create_app(services: Services) -> FastAPI:
    """Opens nothing and closes nothing: `services` outlives the application."""
    app = FastAPIOffline(  # /docs works where no other server can be reached
        title="DeepAnalyze",
        version=version("deepanalyze-server"),
        description=DESCRIPTION,
        redoc_url=None,
        static_url="/docs-files",
        redirect_slashes=False,
        middleware=[
            *_cross_origin(services.settings),
            Middleware(Edge, telemetry=services.telemetry, public_url=services.settings.public_url),
            Middleware(ClientAddress, proxies=services.settings.trusted_proxies),
            # Around all that may refuse
            Middleware(Audited, trail=services.audit),
            Middleware(Clients, allowed=services.settings.allowed_client_networks),
            Middleware(Hosts, settings=services.settings),
            Middleware(BodyLimit, max_file_bytes=services.settings.max_file_bytes),
            Middleware(
                Authentication,
                accounts=services.accounts,
                attempts=services.attempts,
                rate=services.request_rate,
                sessions=services.sessions,
                open_metrics=services.settings.metrics_open,
            ),
        ],
    )
    app.state.services = services
    add_error_handlers(app)
    app.include_router(health.router)
    app.include_router(metrics.router)
    # templates come first: `/v1/data-sources/templates` is no source's name
    sources = (templates, data_sources, source_contents, source_queries, source_transfers)
    for resource in (models, files, *sources, chat, threads, users, api_keys, upkeep, audit):
        app.include_router(resource.router, prefix="/v1", dependencies=documented)
    app.include_router(thread_files.router, prefix="/v1")
    return app


def _cross_origin(settings: Settings) -> list[Middleware]:
    """Around everything, so that also an error can be read by the pages of `cors_origins`; off without them."""
    if not settings.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "api-key", "Content-Type", "If-Match", "Range", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After", "ETag", "Content-Disposition", "Content-Range"],
            allow_credentials=False,
        )
    ]
