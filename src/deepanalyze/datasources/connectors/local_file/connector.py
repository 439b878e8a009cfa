"""The live side of a source of local files."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from deepanalyze.datasources import finding
from deepanalyze.datasources.base import DataItem, DataSourceConfig, OnProgress
from deepanalyze.datasources.capabilities import Downloaded, Head
from deepanalyze.datasources.connectors.local_file import transfer
from deepanalyze.datasources.connectors.local_file.config import LocalFileConfig
from deepanalyze.datasources.connectors.local_file.errors import FileErrors
from deepanalyze.datasources.connectors.local_file.examples import EXAMPLES, PATH_PATTERNS
from deepanalyze.datasources.connectors.local_file.names import check_path, check_prefix
from deepanalyze.datasources.connectors.local_file.properties import describe
from deepanalyze.datasources.connectors.local_file.roots import real_root
from deepanalyze.datasources.connectors.local_file.session import RootSession
from deepanalyze.datasources.connectors.local_file.threads import Threads
from deepanalyze.datasources.connectors.local_file.tree import Tree
from deepanalyze.datasources.file_source import FileSource
from deepanalyze.datasources.schema import validate_config
from deepanalyze.datasources.session_connector import SessionConnector


class LocalFileConnector(SessionConnector[RootSession], FileSource):
    """One directory of this machine with all that is below it."""

    config_model = LocalFileConfig
    title: ClassVar[str] = "Local files"
    description: ClassVar[str] = "Files in one directory of the machine that the server runs on."
    examples: ClassVar[Sequence[Mapping[str, Any]]] = EXAMPLES
    path_patterns: ClassVar[Sequence[Mapping[str, str]]] = PATH_PATTERNS
    admin_only: ClassVar[bool] = True

    def __init__(self, config: DataSourceConfig) -> None:
        super().__init__(config)
        self._settings = validate_config(LocalFileConfig, config.config)

    async def _new_session(self) -> RootSession:
        """Symbolic links in the root itself are resolved here, once."""
        errors = FileErrors(self._label, self._settings.root)
        threads = Threads(self.defaults.pool.max_size, self.defaults.timeouts.query_s, errors.stalled)
        tree = await threads.run(partial(self._tree, errors), within_s=self.defaults.timeouts.connect_s)
        return RootSession(tree, threads)

    def _tree(self, errors: FileErrors) -> Tree:
        allowed, private = self.defaults.local_roots, self.defaults.private_directories
        with errors.mapped_root():
            tree = Tree(errors, real_root(self._label, self._settings.root, allowed, private))
        tree.probe()
        return tree

    async def _probe(self) -> None:
        session = self._session
        await session.call(session.tree.probe)

    async def server_info(self) -> dict[str, Any]:
        return {
            "product": "Local files",
            "version": platform.system(),
            "tls": False,
            "root": self._settings.root,
        }

    async def list_items(self, path: str | None = None) -> list[DataItem]:
        """Folders and files right below `path`, a folder with or without its last `/`. Where no such folder is,
        `path` may also be the beginning of names.
        """
        return [item async for item in self.iter_items(path)]

    async def iter_items(
        self, path: str | None = None, *, recursive: bool = False
    ) -> AsyncGenerator[DataItem]:
        prefix = path or ""
        check_prefix(prefix)
        session = self._session
        if prefix and not prefix.endswith("/") and await session.is_folder(prefix):
            prefix += "/"
        async with contextlib.aclosing(session.items(prefix, recursive=recursive)) as items:
            async for item in items:
                yield item

    async def find(self, path: str) -> list[DataItem]:
        """The files of a name, a glob or a prefix ending in `/`. A name with `*`, `?`, `[` or `{` in it is tried as
        such first. Raises BlobNotFound with the nearest names.
        """
        check_path(path)
        return await finding.find(self._session, path, max_files=self.defaults.limits.max_files)

    async def download(
        self, path: str, destination: Path, *, max_bytes: int, on_progress: OnProgress | None = None
    ) -> Downloaded:
        check_path(path)
        session = self._session
        return await session.run(
            transfer.download(session, path, destination, max_bytes=max_bytes, on_progress=on_progress)
        )

    async def head(self, path: str, destination: Path, *, length: int) -> Head:
        check_path(path)
        session = self._session
        return await session.run(transfer.head(session, path, destination, length=length))

    async def get_metadata(self, identifier: str) -> dict[str, Any]:
        """Of a file, or of a folder."""
        check_path(identifier)
        return describe(await self._session.item(identifier))
