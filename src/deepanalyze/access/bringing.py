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
from deepanalyze.datasources.fetch import fetch
from deepanalyze.datasources.provenance import provenance
from deepanalyze.datasources.references import DataReference, FetchedFile
from deepanalyze.datasources.undoing import made_in_thread
from deepanalyze.workspace import Workspace


async def fetch_into(
    connector: DataSourceConnector,
    reference: DataReference,
    workspace: Workspace,
    on_progress: OnProgress | None = None,
) -> list[FetchedFile]:
    """Through the staging directory; nothing in the workspace is overwritten, and what fails leaves nothing there."""
    directory = await made_in_thread(
        lambda: Path(tempfile.mkdtemp(prefix="fetch-", dir=workspace.staging)), _remove
    )
    try:
        limits = connector.defaults.limits
        fetched = await fetch(connector, reference, directory, limits=limits, on_progress=on_progress)
        return await made_in_thread(
            lambda: _adopt_all(workspace, directory, fetched), lambda adopted: _take_back(workspace, adopted)
        )
    finally:
        await asyncio.shield(asyncio.to_thread(_remove, directory))


def counts(files: Sequence[FetchedFile]) -> dict[str, Any]:
    """For the log; files that are not made of rows add none."""
    return {
        "files": len(files),
        "rows": sum(file.rows or 0 for file in files),
        "bytes": sum(file.bytes for file in files),
        "truncated": any(file.truncated for file in files),
    }


def _adopt_all(workspace: Workspace, directory: Path, fetched: Sequence[FetchedFile]) -> list[FetchedFile]:
    adopted: list[FetchedFile] = []
    try:
        for file in fetched:
            adopted.append(_adopt(workspace, directory, file))
    except BaseException:
        _take_back(workspace, adopted)
        raise
    return adopted


def _take_back(workspace: Workspace, adopted: Sequence[FetchedFile]) -> None:
    for file in adopted:
        workspace.remove(file.file)


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)


def _adopt(workspace: Workspace, directory: Path, file: FetchedFile) -> FetchedFile:
    staged = workspace.staging / f"{directory.name}-file"  # adopted from here, not from folders below
    (directory / file.file).rename(staged)
    try:
        adopted = replace(file, file=workspace.adopt(staged, file.file))
        workspace.annotate(adopted.file, json.dumps(provenance(adopted), ensure_ascii=False, indent=1))
        return adopted
    finally:
        staged.unlink(missing_ok=True)
