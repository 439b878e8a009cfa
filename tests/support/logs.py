"""The real logging configuration, for the time of a test."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from deepanalyze.logging import configure_logging
from tests.support.canary_net import look


@contextmanager
def restored_logging() -> Iterator[None]:
    """Puts back what `configure_logging` changes for the whole process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    loggers = root.manager.loggerDict
    levels = {name: each.level for name, each in loggers.items() if isinstance(each, logging.Logger)}
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, each in loggers.items():
            if isinstance(each, logging.Logger):
                each.setLevel(levels.get(name, logging.NOTSET))
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()


@contextmanager
def captured_logs() -> Iterator[io.StringIO]:
    """Everything that is logged, as the server would write it at its most talkative."""
    stream = io.StringIO()
    with restored_logging():
        configure_logging("debug", "json", stream=stream)
        yield stream
    look("the log", stream.getvalue())
