"""A type of source for tests of what lies above the connectors: it holds what its config says, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from deepanalyze.datasources.base import DataItem, DataSourceConfig, OnProgress
from deepanalyze.datasources.capabilities import Downloaded
from deepanalyze.errors import BlobNotFound, SourceAuthenticationFailed
from tests.support.canaries import canary
from tests.support.empty_source import EmptySource

PASSWORD = canary("toy box") + ' opens/it=+%"ü'


class ToyConfig(BaseModel):
    """A toy box."""

    model_config = ConfigDict(extra="forbid")

    toys: list[str] = Field(description="names of what is in the box")
    password: SecretStr = Field(description="what opens the box")
    server_path: str | None = Field(default=None, description="a directory of the server")
    read_only: bool = Field(default=True, description="nothing can be put in")


class ToyConnector(EmptySource):
    config_model = ToyConfig
    title = "Toy box"
    description = "Toys for tests"
    examples: ClassVar[Sequence[Mapping[str, Any]]] = (
        {
            "title": "A password",
            "description": "The only way",
            "config": {"toys": ["a.csv"], "password": "made up"},
        },
    )
    path_patterns: ClassVar[Sequence[Mapping[str, str]]] = (
        {"pattern": "*.csv", "description": "all tables"},
    )
    admin_only_fields = frozenset({"server_path"})

    def __init__(self, config: DataSourceConfig) -> None:
        super().__init__(config)
        self.connected = False
        self.downloading = 0
        self.most_downloading = 0
        self.meeting: asyncio.Barrier | None = None  # where downloads wait until so many are there

    async def connect(self) -> None:
        self.connected = True

    async def disconnect(self) -> None:
        self.connected = False

    async def test_connection(self) -> bool:
        if self.config.config["password"] == PASSWORD:
            return True
        self.last_error = SourceAuthenticationFailed(f"source {self.config.name!r}: the password is wrong")
        return False

    async def server_info(self) -> dict[str, Any]:
        return {"version": "1.0"}

    async def list_items(self, path: str | None = None) -> list[DataItem]:
        toys = [toy for toy in self.config.config["toys"] if toy.startswith(path or "")]
        return [DataItem(toy, toy, "blob", len(toy), 1) for toy in toys]

    async def find(self, path: str) -> list[DataItem]:
        found = [item for item in await self.list_items() if path in ("*", item.path)]
        if not found:
            raise BlobNotFound(f"source {self.config.name!r} has no {path!r}", param="path")
        return found

    async def download(
        self, path: str, destination: Path, *, max_bytes: int, on_progress: OnProgress | None = None
    ) -> Downloaded:
        self.downloading += 1
        self.most_downloading = max(self.most_downloading, self.downloading)
        try:
            if self.meeting is not None:
                await self.meeting.wait()
            await asyncio.to_thread(destination.write_text, f"toy\n{path}\n")
        finally:
            self.downloading -= 1
        return Downloaded(destination.stat().st_size)
