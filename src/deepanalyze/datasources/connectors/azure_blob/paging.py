"""A listing in pages of the caller's size, each of them found by the service's own marker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from deepanalyze.datasources.base import DataItem
from deepanalyze.errors import InvalidRequest, SourceUnavailable

if TYPE_CHECKING:
    from deepanalyze.datasources.connectors.azure_blob.session import ContainerSession


class Pages:
    def __init__(self, session: ContainerSession, *, folders: bool, limit: int) -> None:
        self._session = session
        self._folders = folders
        self._limit = limit

    async def of(self, prefix: str) -> tuple[list[DataItem], str | None]:
        return await self._from(prefix, None)

    async def after(self, place: str, prefixes: Sequence[str]) -> tuple[list[DataItem], str | None]:
        """The page behind the one that ended with `place`. Raises InvalidRequest for what is none of ours, or of
        another path's pages.
        """
        foreign = InvalidRequest("cursor is not one that this server made for this path", param="cursor")
        try:
            prefix, marker = json.loads(place)
        except (ValueError, TypeError):
            raise foreign from None
        if prefix not in prefixes:
            raise foreign
        try:
            return await self._from(prefix, str(marker))
        except SourceUnavailable as error:
            if error.details and error.details[0].get("azure_status") == 400:  # no marker of the service's
                raise foreign from error
            raise

    async def _from(self, prefix: str, marker: str | None) -> tuple[list[DataItem], str | None]:
        items: list[DataItem] = []
        while True:
            page = await self._session.run(
                self._session.page(
                    prefix, folders=self._folders, marker=marker, max_results=self._limit - len(items)
                )
            )
            items += page.items
            marker, before = page.next_marker, marker
            if marker is None or marker == before:
                return items, None
            if len(items) >= self._limit:  # the service may give less than it is asked for
                return items, json.dumps([prefix, marker])
