"""A blob's properties in our own terms."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Any

from deepanalyze.datasources.base import DataItem
from deepanalyze.datasources.paths import base_name

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties


def item_of(blob: BlobProperties) -> DataItem:
    return DataItem(
        name=base_name(blob.name),
        path=blob.name,
        kind="blob",
        size=blob.size,
        modified_at=_unix(blob.last_modified),
        metadata={
            "content_type": blob.content_settings.content_type,
            "etag": blob.etag,
            "tier": _text(blob.blob_tier),
        },
    )


def describe(blob: BlobProperties) -> dict[str, Any]:
    settings = blob.content_settings
    return {
        "name": base_name(blob.name),
        "path": blob.name,
        "kind": "blob",
        "size": blob.size,
        "modified_at": _unix(blob.last_modified),
        "created_at": _unix(blob.creation_time),
        "content_type": settings.content_type,
        "content_encoding": settings.content_encoding,
        "etag": blob.etag,
        "md5": base64.b64encode(settings.content_md5).decode() if settings.content_md5 else None,
        "tier": _text(blob.blob_tier),
        "blob_type": _text(blob.blob_type),
        "metadata": dict(blob.metadata or {}),
    }


def _unix(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None


def _text(value: Any) -> str | None:
    return None if value is None else str(getattr(value, "value", value))
