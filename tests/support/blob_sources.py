"""Azure Blob sources over a test's own container."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from deepanalyze.datasources.base import DataSourceConfig
from deepanalyze.datasources.connectors.azure_blob import AzureBlobConnector
from deepanalyze.datasources.limits import RetryPolicy, SourceDefaults, Timeouts
from tests.support.canaries import canary_key
from tests.support.services import BlobContainer

QUICK = SourceDefaults(
    timeouts=Timeouts(connect_s=2), retries=RetryPolicy(max_attempts=2, base_delay_s=0.01, max_delay_s=0.05)
)
WRONG_KEY = canary_key("account key that is wrong")


def sas(
    container: BlobContainer, permissions: str = "rl", *, valid_for: timedelta = timedelta(hours=1)
) -> str:
    return generate_container_sas(
        container.account_name,
        container.name,
        container.account_key,
        permission=ContainerSasPermissions.from_string(permissions),
        start=datetime.now(UTC) - timedelta(days=2),
        expiry=datetime.now(UTC) + valid_for,
    )


def key_config(container: BlobContainer, **more: Any) -> dict[str, Any]:
    return {
        "container_name": container.name,
        "account_url": container.blob_endpoint,
        "account_key": container.account_key,
        **more,
    }


def sas_config(container: BlobContainer, permissions: str = "rl", **more: Any) -> dict[str, Any]:
    return {
        "container_name": container.name,
        "account_url": container.blob_endpoint,
        "sas_token": sas(container, permissions),
        **more,
    }


def connector(config: Mapping[str, Any], *, defaults: SourceDefaults = QUICK) -> AzureBlobConnector:
    made = AzureBlobConnector(DataSourceConfig("blobs", "azure_blob", "blobs", dict(config)))
    made.defaults = defaults
    return made


def put(container: BlobContainer, contents: Mapping[str, bytes]) -> None:
    for name, content in contents.items():
        container.client.upload_blob(name, content)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def left_over(directory: Path, expected: Iterable[str] = ()) -> set[str]:
    """The files that should not be there, hidden ones too."""
    return {entry.name for entry in directory.iterdir()} - set(expected)
