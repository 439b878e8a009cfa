"""Bringing what a request names into a directory, the same way for the library, the API, the CLI and chat."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from deepanalyze.datasources.base import DataSourceConnector, OnProgress, Progress
from deepanalyze.datasources.capabilities import SupportsExport
from deepanalyze.datasources.downloading import download_all
from deepanalyze.datasources.files import safe_relative_name
from deepanalyze.datasources.limits import Limits
from deepanalyze.datasources.progress import ms_since
from deepanalyze.datasources.references import DataReference, FetchedFile, check_reference
from deepanalyze.errors import NotSupported

EXPORT_FORMATS = ("csv", "parquet")


async def fetch(
    connector: DataSourceConnector,
    reference: DataReference,
    directory: Path,
    *,
    limits: Limits,
    on_progress: Callable[[Progress], None] | None = None,
) -> list[FetchedFile]:
    """Fetches one reference into `directory`. Either every file is there when it returns, or none is."""
    check_reference(reference)
    if reference.path is not None:
        return await download_all(connector, reference, reference.path, directory, limits, on_progress)
    return [await _export(connector, reference, directory, on_progress)]


async def _export(
    connector: DataSourceConnector, reference: DataReference, directory: Path, on_progress: OnProgress | None
) -> FetchedFile:
    asked = "query" if reference.query is not None else "table"
    if not isinstance(connector, SupportsExport):
        raise NotSupported(
            f"source {connector.config.name!r} ({connector.config.type}) holds files; name them with 'path', "
            f"not '{asked}'",
            param=asked,
        )
    if reference.format not in EXPORT_FORMATS:
        raise NotSupported("results are written as 'csv' or 'parquet'", param="format")
    name = _export_name(reference)
    destination = directory / name
    started = time.monotonic()
    await asyncio.to_thread(destination.parent.mkdir, parents=True, exist_ok=True)
    exported = await connector.export(
        destination,
        query=reference.query,
        table=reference.table,
        format=reference.format,
        max_rows=reference.max_rows,
        on_progress=on_progress,
    )
    return FetchedFile(
        file=name,
        source_id=connector.config.id,
        name=connector.config.name,
        type=str(connector.config.type),
        bytes=exported.bytes,
        rows=exported.rows,
        truncated=exported.truncated,
        elapsed_ms=ms_since(started),
        columns=exported.columns,
        path=reference.table,
        sql=exported.sql,
        params=exported.params,
        format=reference.format,
        started_at=exported.started_at,
        snapshot_at=exported.snapshot_at,
        server_version=exported.server_version,
    )


def _export_name(reference: DataReference) -> str:
    suffix = f".{reference.format}"
    if reference.save_as is not None:
        name = safe_relative_name(reference.save_as)
        return name if name.lower().endswith(suffix) else name + suffix
    if reference.table is not None:
        return (
            safe_relative_name(
                reference.table.replace('"', "").replace("/", "_").rpartition(".")[2] or "table"
            )
            + suffix
        )
    return f"query{suffix}"
