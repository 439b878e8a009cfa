"""Structured logs that cannot leak secrets: one stream, one format, for our own records and every library's."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from deepanalyze.logging.redaction import redact_event
from deepanalyze.logging.values import KnownSecrets

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "json", "console"]

__all__ = ["KnownSecrets", "bind_request", "configure_logging", "hidden_in_log"]

# Of the process, as the log itself is: of each server that it runs
_known: list[KnownSecrets] = []

# What these say at their own info level is about each request that they send.
_TALKATIVE = (
    "alembic",
    "asyncio",
    "azure",
    "httpcore",
    "httpx",
    "openai",
    "psycopg",
    "sqlalchemy",
    "traitlets",
)
# What records of the standard `logging` bring along in `extra`: our own data sources log that way.
_EXTRA = ("source_id", "source_type", "source_name", "code", "error")
_LEADING = ("timestamp", "level", "event")
_WITH_HANDLERS_OF_THEIR_OWN = ("uvicorn", "uvicorn.access", "uvicorn.error")


def configure_logging(
    level: Level = "info", format: Format = "auto", *, stream: TextIO | None = None
) -> None:
    """Called once by the command line. A second call replaces the first."""
    target = stream or sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    colours = target.isatty()
    as_json = format == "json" or (format == "auto" and not colours)
    handler = logging.StreamHandler(target)
    handler.setFormatter(_formatter(as_json=as_json, colours=colours))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    for name in _WITH_HANDLERS_OF_THEIR_OWN:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        cache_logger_on_first_use=False,  # loggers made at import follow a later call
    )


@contextmanager
def hidden_in_log(secrets: KnownSecrets) -> Iterator[None]:
    """Inside, no record has one of them, whoever logs it."""
    _known.append(secrets)
    try:
        yield
    finally:
        _known.remove(secrets)


def bind_request(request_id: str, user_id: str | None = None) -> None:
    """Every record of this request, and of the tasks that it starts, carries these."""
    structlog.contextvars.bind_contextvars(request_id=request_id)
    if user_id is not None:
        structlog.contextvars.bind_contextvars(user_id=user_id)


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(*, as_json: bool, colours: bool) -> logging.Formatter:
    renderer: Processor
    if as_json:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(allow=_EXTRA), *_shared()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _redact,
            renderer,
        ],
    )


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Also puts first what a reader looks for first."""
    redacted = redact_event(event, _hide)
    return {name: redacted.pop(name) for name in _LEADING if name in redacted} | dict(redacted)


def _hide(text: str) -> str:
    for secrets in _known:
        text = secrets.hide(text)
    return text
