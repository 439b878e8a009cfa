from __future__ import annotations

from pathlib import Path

from azure.storage.blob import BlobPrefix, ContainerClient

from benchmarks.ways import blobs
from benchmarks.ways.blobs import Listed


class Sdk:
    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    def download(self, name: str, file: Path) -> None:
        found = self._container.download_blob(name, max_concurrency=blobs.RANGES)
        with file.open("wb") as opened:
            written = found.readinto(opened)
        if written != found.size:
            raise AssertionError(f"{name} arrived with {written} bytes")
        blobs.check_file(name, file)

    def list_all(self, prefix: str) -> Listed:
        return [
            (blob.name, blob.size, blob.last_modified.timestamp())
            for blob in self._container.list_blobs(prefix)
        ]

    def list_level(self, prefix: str) -> list[str]:
        return [item.name for item in self._container.walk_blobs(prefix) if isinstance(item, BlobPrefix)]


with ContainerClient.from_connection_string(blobs.CONNECTION, blobs.CONTAINER) as container:
    blobs.measure(Sdk(container))
