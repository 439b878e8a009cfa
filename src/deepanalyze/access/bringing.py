"""What was fetched, on its way into a workspace."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepanalyze.datasources.base import DataSourceConnector, OnProgress
from deepanalyze.datasources.fetch import DataReference, FetchedFile, fetch
from deepanalyze.datasources.provenance import provenance
from deepanalyze.workspace import Workspace


async def fetch_into(
    connector: DataSourceConnector,
    reference: DataReference,
    workspace: Workspace,
    on_progress: OnProgress | None = None,
) -> list[FetchedFile]:
    """Through the staging directory; nothing in the workspace is overwritten, and what fails leaves nothing there."""
    directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="fetch-", dir=workspace.staging))
    try:
        limits = connector.defaults.limits
        fetched = await fetch(connector, reference, directory, limits=limits, on_progress=on_progress)
        return await asyncio.to_thread(lambda: [_adopt(workspace, directory, file) for file in fetched])
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


def counts(files: Sequence[FetchedFile]) -> dict[str, Any]:
    """For the log; files that are not made of rows add none."""
    return {
        "files": len(files),
        "rows": sum(file.rows or 0 for file in files),
        "bytes": sum(file.bytes for file in files),
        "truncated": any(file.truncated for file in files),
    }


def _adopt(workspace: Workspace, directory: Path, file: FetchedFile) -> FetchedFile:
    staged = workspace.staging / f"{directory.name}-file"  # adopted from here, not from folders below
    (directory / file.file).rename(staged)
    try:
        adopted = replace(file, file=workspace.adopt(staged, file.file))
        workspace.annotate(adopted.file, json.dumps(provenance(adopted), ensure_ascii=False, indent=1))
        return adopted
    finally:
        staged.unlink(missing_ok=True)
