"""Where a fetched file came from, as plain data: what lies beside it in a workspace, for people and the loader."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from deepanalyze.datasources.references import FetchedFile

MANIFESTS = ".deepanalyze"
"""The hidden folder beside the files, in which each has its `<name>.json`."""


def provenance(file: FetchedFile) -> dict[str, Any]:
    """Times are Unix seconds; `columns` have the type in the source's own words and what pandas makes of it."""
    return {
        "file": file.file,
        "source": {"id": file.source_id, "name": file.name, "type": file.type},
        "sql": file.sql,
        "params": [str(value) if value is not None else None for value in file.params],
        "path": file.path,
        "version": file.version,
        "etag": file.etag,
        "content_encoding": file.content_encoding,
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


def write_manifest(directory: Path, file: FetchedFile) -> Path:
    """Puts it where the loader looks for it, in place of what was there.

    Blocking. For a directory of one's own: it follows links, which hostile code could put there.
    """
    path = directory / MANIFESTS / f"{file.file}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        part.write_text(json.dumps(provenance(file), ensure_ascii=False, indent=1), "utf-8", errors="replace")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path
