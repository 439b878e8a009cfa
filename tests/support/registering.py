"""Data sources made over HTTP, as users make them."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.services import BlobContainer, PostgresDatabase


def register(client: httpx.Client, name: str, type: str, config: dict[str, Any], **more: Any) -> str:
    """The name, once the source is there."""
    body = {"type": type, "name": name, "config": config, **more}
    answer = client.post("/v1/data-sources", json=body)
    assert answer.status_code == 201, answer.text
    return name


def register_database(client: httpx.Client, name: str, database: PostgresDatabase, **config: Any) -> str:
    return register(client, name, "postgresql", {**database.analyst_config, **config})


def register_container(client: httpx.Client, name: str, container: BlobContainer) -> str:
    config = {"container_name": container.name, "connection_string": container.connection_string}
    return register(client, name, "azure_blob", config)
