"""A file or folder in our own terms."""

from __future__ import annotations

import mimetypes
import os
import stat
from typing import Any

from deepanalyze.datasources.base import DataItem
from deepanalyze.datasources.paths import base_name


def state_of(status: os.stat_result) -> tuple[int, ...]:
    """Differs whenever the content does: the change time cannot be set by whoever writes."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def etag_of(status: os.stat_result) -> str:
    return f'"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ctime_ns:x}"'


def item_of(path: str, status: os.stat_result) -> DataItem:
    """`path` is below the root, without a last `/`."""
    if stat.S_ISDIR(status.st_mode):
        return DataItem(base_name(path), path + "/", "folder", modified_at=int(status.st_mtime))
    metadata = {"content_type": mimetypes.guess_type(path)[0], "etag": etag_of(status)}
    return DataItem(base_name(path), path, "file", status.st_size, int(status.st_mtime), metadata)


def describe(item: DataItem) -> dict[str, Any]:
    return {
        "name": item.name,
        "path": item.path,
        "kind": item.kind,
        "size": item.size,
        "modified_at": item.modified_at,
        **item.metadata,
    }
