"""The demo's two data sources, registered as any user would register theirs: through the HTTP API."""

from __future__ import annotations

from typing import Any

import httpx

from deepanalyze.errors import DeepAnalyzeError

DATABASE = "nyc-flights"
LAKE = "nyc-weather"


async def register(client: httpx.AsyncClient, postgres: dict[str, Any], blob: dict[str, Any]) -> None:
    """Anew at each start, because the embedded services may have had to take other ports."""
    for name, type_, config in ((DATABASE, "postgresql", postgres), (LAKE, "azure_blob", blob)):
        removed = await client.delete(f"/v1/data-sources/{name}")
        if removed.status_code not in (httpx.codes.OK, httpx.codes.NOT_FOUND):
            raise DeepAnalyzeError(f"data source '{name}': {message_of(removed)}")
        added = await client.post("/v1/data-sources", json={"type": type_, "name": name, "config": config})
        if added.status_code != httpx.codes.CREATED:
            raise DeepAnalyzeError(f"data source '{name}': {message_of(added)}")


def message_of(answer: httpx.Response) -> str:
    """The server's own words for what went wrong."""
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered with HTTP status {answer.status_code}"
