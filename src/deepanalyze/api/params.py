"""Errors that name the field at fault as the request does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from deepanalyze.errors import DeepAnalyzeError


@contextmanager
def named(**fields: str) -> Iterator[None]:
    """`named(query="sql")`: what the data sources call `query` is the route's `sql`."""
    try:
        yield
    except DeepAnalyzeError as error:
        if error.param in fields:
            error.param = fields[error.param]
        raise
