"""Where a fetched file came from, as plain data: what lies beside it in a workspace, for people and the loader."""

from __future__ import annotations

from typing import Any

from deepanalyze.datasources.fetch import FetchedFile


def provenance(file: FetchedFile) -> dict[str, Any]:
    """Times are Unix seconds; `columns` have the type in the source's own words and what pandas makes of it."""
    return {
        "file": file.file,
        "source": {"id": file.source_id, "name": file.name, "type": file.type},
        "sql": file.sql,
        "params": [str(value) if value is not None else None for value in file.params],
        "path": file.path,
        "format": file.format,
        "columns": [{"name": c.name, "type": c.type, "dtype": c.dtype} for c in file.columns],
        "rows": file.rows,
        "bytes": file.bytes,
        "truncated": file.truncated,
        "started_at": file.started_at,
        "elapsed_ms": file.elapsed_ms,
        "snapshot_at": file.snapshot_at,
        "server_version": file.server_version,
    }
