"""A blob's properties in our own terms."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from deepanalyze.datasources.base import DataItem
from deepanalyze.datasources.connectors.azure_blob.names import BlobRef
from deepanalyze.datasources.paths import base_name

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties


def item_of(blob: BlobProperties) -> DataItem:
    """A version or snapshot keeps the blob's path; `metadata["version"]` tells which one it is."""
    metadata = {
        "content_type": blob.content_settings.content_type,
        "content_encoding": blob.content_settings.content_encoding,
        "etag": blob.etag,
        "md5": _md5(blob),
        "tier": _text(blob.blob_tier),
    }
    if (version := _version(blob)) is not None:
        metadata["version"] = version
    return DataItem(
        name=base_name(blob.name),
        path=blob.name,
        kind="blob",
        size=blob.size,
        modified_at=_unix(blob.last_modified),
        metadata=metadata,
    )


def describe(blob: BlobProperties, tags: Mapping[str, str] | None) -> dict[str, Any]:
    """`tags` is None where the credentials may not read them."""
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
        "content_language": settings.content_language,
        "content_disposition": settings.content_disposition,
        "cache_control": settings.cache_control,
        "etag": blob.etag,
        "md5": _md5(blob),
        "tier": _text(blob.blob_tier),
        "archive_status": _text(blob.archive_status),
        "blob_type": _text(blob.blob_type),
        "lease": _text(blob.lease.state),
        "version_id": blob.version_id,
        "is_current_version": blob.is_current_version,
        "snapshot": blob.snapshot,
        "metadata": dict(blob.metadata or {}),
        "tags": None if tags is None else dict(tags),
    }


def _version(blob: BlobProperties) -> str | None:
    if blob.snapshot:
        return BlobRef(blob.name, snapshot=blob.snapshot).version
    older = blob.version_id and not blob.is_current_version
    return BlobRef(blob.name, version_id=blob.version_id).version if older else None


def _md5(blob: BlobProperties) -> str | None:
    md5 = blob.content_settings.content_md5
    return base64.b64encode(md5).decode() if md5 else None


def _unix(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None


def _text(value: Any) -> str | None:
    return None if value is None else str(getattr(value, "value", value))
