"""Blob versions, which Azurite does not keep: a service before it that keeps them as snapshots there.

It speaks the protocol's part that matters here: `versionid` in the query, `x-ms-version-id` in answers, and
`x-ms-is-current-version` for the blob itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

from tests.support.blob_front import Passing, front


def _ask(passing: Passing) -> None:
    passing.query = passing.query.replace("versionid=", "snapshot=")


def _answer(passing: Passing) -> None:
    passing.headers.pop("x-ms-snapshot", None)
    if version := parse_qs(passing.query).get("snapshot"):
        passing.headers["x-ms-version-id"] = version[0]
    elif "comp=" not in passing.query:
        passing.headers |= {"x-ms-version-id": "now", "x-ms-is-current-version": "true"}


@asynccontextmanager
async def versions_before(upstream_endpoint: str) -> AsyncIterator[str]:
    """The endpoint to use instead, for containers open to all."""
    async with front(upstream_endpoint, ask=_ask, answer=_answer) as endpoint:
        yield endpoint
