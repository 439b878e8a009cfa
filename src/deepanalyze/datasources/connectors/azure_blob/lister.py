"""Asks a container for the pages of its listing, without the SDK: see `listing` for why."""

from __future__ import annotations

import asyncio
from typing import Any

from azure.core import AsyncPipelineClient
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import HttpRequest

from deepanalyze.datasources.connectors.azure_blob.authorisation import Authorisation
from deepanalyze.datasources.connectors.azure_blob.listing import Page, listing_query, parse_page

_MAX_PAGE_BYTES = 64 * 1024**2  # 5,000 blobs whose names have 1,024 characters, and their properties
_VERSION = "2021-12-02"  # the service encodes names that XML cannot hold since 2021-02-12


class Lister:
    """`server` is what the last answer said of itself."""

    def __init__(
        self,
        endpoint: str,
        container: str,
        authorisation: Authorisation,
        transport: AioHttpTransport,
        policies: list[Any],
    ) -> None:
        self._place = f"{endpoint}/{container}"
        self._authorisation = authorisation
        self._client = AsyncPipelineClient[HttpRequest, Any](endpoint, policies=policies, transport=transport)
        self.server: str | None = None

    async def close(self) -> None:
        await self._client.close()

    async def page(
        self,
        prefix: str = "",
        *,
        folders: bool = False,
        marker: str | None = None,
        max_results: int | None = None,
    ) -> Page:
        """Raises azure-core's errors, and ValueError for an answer that is no listing."""
        query = listing_query(prefix, folders=folders, marker=marker, max_results=max_results)
        sas, headers = await self._authorisation.for_listing()
        url = f"{self._place}?{query}&{sas}" if sas else f"{self._place}?{query}"
        headers = {"x-ms-version": _VERSION, "Accept-Encoding": "identity", **headers}
        response = await self._client.send_request(HttpRequest("GET", url, headers=headers), stream=True)
        body = await _body(response)
        if response.status_code != 200:
            raise HttpResponseError(response=response)
        self.server = response.headers.get("Server")
        return await asyncio.to_thread(parse_page, body)


async def _body(response: Any) -> bytes:
    """Raises ValueError for more than a listing has: who made the source chose the host, which may be anything."""
    collected = bytearray()
    async with response:
        async for part in response.iter_raw():
            collected += part
            if len(collected) > _MAX_PAGE_BYTES:
                raise ValueError("too long for a listing")
    return bytes(collected)
