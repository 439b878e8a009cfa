from __future__ import annotations

from pathlib import Path

from adlfs import AzureBlobFileSystem

from benchmarks.ways import blobs
from benchmarks.ways.blobs import Listed


class Adlfs:
    def __init__(self) -> None:
        self._files = AzureBlobFileSystem(
            connection_string=blobs.CONNECTION, max_concurrency=blobs.RANGES, use_listings_cache=False
        )

    def download(self, name: str, file: Path) -> None:
        self._files.get_file(f"{blobs.CONTAINER}/{name}", str(file))
        blobs.check_file(name, file)

    def list_all(self, prefix: str) -> Listed:
        found = self._files.find(f"{blobs.CONTAINER}/{prefix}", detail=True)
        return [
            (_name(path), facts["size"], facts["last_modified"].timestamp()) for path, facts in found.items()
        ]

    def list_level(self, prefix: str) -> list[str]:
        found = self._files.ls(f"{blobs.CONTAINER}/{prefix}", detail=True)
        return [f"{_name(facts['name'])}/" for facts in found if facts["type"] == "directory"]


def _name(path: str) -> str:
    return path.removeprefix(f"{blobs.CONTAINER}/").rstrip("/")


blobs.measure(Adlfs())
