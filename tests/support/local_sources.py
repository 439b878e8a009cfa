"""Sources of local files over a test's own directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepanalyze.datasources.base import DataSourceConfig
from deepanalyze.datasources.connectors.local_file import LocalFileConnector
from deepanalyze.datasources.limits import SourceDefaults


def connector(root: Path, *, defaults: SourceDefaults | None = None, **config: Any) -> LocalFileConnector:
    made = LocalFileConnector(DataSourceConfig("files", "local_file", "files", {"root": str(root), **config}))
    if defaults is not None:
        made.defaults = defaults
    return made


def put(root: Path, contents: Mapping[str | bytes, bytes]) -> None:
    for name, content in contents.items():
        path = Path(os.fsdecode(os.path.join(os.fsencode(root), os.fsencode(name))))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


async def paths_of(files: LocalFileConnector, path: str | None = None, *, recursive: bool = True) -> set[str]:
    return {item.path async for item in files.iter_items(path, recursive=recursive)}
