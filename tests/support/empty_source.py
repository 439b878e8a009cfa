"""The base of connectors that are made for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepanalyze.datasources import DataItem, DataSourceConnector


class EmptySource(DataSourceConnector):
    """Is reached at once and holds nothing; a test's own class says what is different."""

    async def connect(self) -> None: ...

    async def disconnect(self) -> None: ...

    async def test_connection(self) -> bool:
        return True

    async def list_items(self, path: str | None = None) -> list[DataItem]:
        return []

    async def fetch_data(self, identifier: str, workspace: str | Path) -> str:
        raise NotImplementedError

    async def get_metadata(self, identifier: str) -> dict[str, Any]:
        return {}
