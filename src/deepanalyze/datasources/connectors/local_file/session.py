"""A connected root: what is done below it, in threads, until it is closed."""

from __future__ import annotations

import contextlib
import stat
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from functools import partial
from typing import Any, TypeVar

from deepanalyze.datasources.base import DataItem
from deepanalyze.datasources.connectors.local_file.names import check_prefix
from deepanalyze.datasources.connectors.local_file.properties import item_of
from deepanalyze.datasources.connectors.local_file.threads import Threads
from deepanalyze.datasources.connectors.local_file.tree import Tree
from deepanalyze.datasources.paths import printable
from deepanalyze.datasources.running import Running
from deepanalyze.errors import BlobNotFound

T = TypeVar("T")

_BATCH_ITEMS = 1000
_BATCH_S = 0.1


class RootSession:
    """Also what `finding` asks: a `FileStore`."""

    noun = "file"
    whole = "root"

    def __init__(self, tree: Tree, threads: Threads) -> None:
        self.tree = tree
        self.threads = threads
        self.errors = tree.errors
        self.source = tree.errors.source
        self.no_such = tree.errors.no_such
        self.no_match = tree.errors.no_match
        running = Running(tree.errors.closed)
        self.run, self.close = running.run, running.close

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        return await self.run(self.threads.run(partial(function, *arguments)))

    async def item(self, path: str) -> DataItem:
        """A file, or a folder with or without its last `/`."""
        name = path.removesuffix("/")
        status = await self.call(self.tree.status, name)
        if not stat.S_ISDIR(status.st_mode):
            self.errors.check_plain(name, status)
            if path != name:
                raise self.errors.no_such(path, f"; '{printable(name)}' is a file")
        return item_of(name, status)

    async def is_folder(self, path: str) -> bool:
        try:
            status = await self.call(self.tree.status, path)
        except BlobNotFound:
            return False
        if stat.S_ISLNK(status.st_mode):
            raise self.errors.link(path)
        return stat.S_ISDIR(status.st_mode)

    async def exact(self, name: str) -> DataItem | None:
        if name.endswith("/"):
            return None
        try:
            item = await self.item(name)
        except BlobNotFound:
            return None
        return None if item.kind == "folder" else item

    async def below(self, prefix: str, depth: int | None = None) -> AsyncGenerator[DataItem]:
        # Braces of a glob can spell what the glob itself did not.
        check_prefix(prefix[: prefix.rfind("/") + 1])
        async with contextlib.aclosing(self.items(prefix, recursive=True, depth=depth)) as items:
            async for item in items:
                yield item

    async def names(self, prefix: str, count: int) -> list[str]:
        found: list[str] = []
        async with contextlib.aclosing(self.items(prefix, recursive=True)) as items:
            async for item in items:
                found.append(item.path)
                if len(found) == count:
                    break
        return found

    async def items(
        self, prefix: str, *, recursive: bool, depth: int | None = None
    ) -> AsyncGenerator[DataItem]:
        walk = _StoppableWalk(self.tree.walk(prefix, recursive=recursive, depth=depth))
        try:
            while (batch := await self.call(walk.advance)) is not None:
                for item in batch:
                    yield item
        finally:
            walk.stop()


class _StoppableWalk:
    """A walk that goes on from thread to thread."""

    def __init__(self, entries: Generator[DataItem | None]) -> None:
        self._entries = entries
        self._lock = threading.Lock()
        self._stopped = False
        self._over = False

    def advance(self) -> list[DataItem] | None:
        """The next items, perhaps none; None at the end. Blocking, for not much longer than `_BATCH_S`."""
        with self._lock:
            found: list[DataItem] = []
            until = time.monotonic() + _BATCH_S
            for entry in self._entries:
                if entry is not None:
                    found.append(entry)
                if self._stopped or len(found) == _BATCH_ITEMS or time.monotonic() > until:
                    return found
            self._over = True
            return found or None

    def stop(self) -> None:
        """Does not block; what is open is closed by a thread, once the one that may still walk has seen it."""
        self._stopped = True
        if not self._over:
            threading.Thread(target=self._close, name="local-file", daemon=True).start()

    def _close(self) -> None:
        with self._lock:
            self._entries.close()
