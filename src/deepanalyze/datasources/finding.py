"""Which files a name, a glob or a prefix stands for, in whatever keeps the files."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from deepanalyze.datasources.base import DataItem
from deepanalyze.datasources.glob import Glob, is_glob
from deepanalyze.datasources.paths import printable
from deepanalyze.errors import BlobNotFound, FileTooLarge, InvalidRequest, NotFound, SourceError

_NAMES_TO_COMPARE = 1000
_COMPARED_LENGTH = 200
_NAMES_TO_SHOW = 3
_BATCH_ITEMS = 1000


class FileStore(Protocol):
    """What finding needs to know of a source. All of it may raise a SourceError."""

    source: str
    """The source's name, for messages."""
    noun: str
    """What its files are called: `blob`."""
    whole: str
    """What it is itself: `container`."""

    async def exact(self, name: str) -> DataItem | None:
        """The file of that very name."""

    def below(self, prefix: str, depth: int | None = None) -> AsyncGenerator[DataItem]:
        """Every file whose path begins with the prefix. One whose path has more than `depth` parts may be left out."""

    async def names(self, prefix: str, count: int) -> Sequence[str]:
        """Some `count` paths that begin with the prefix."""

    def no_such(self, path: str, hint: str) -> BlobNotFound: ...

    def no_match(self, path: str, hint: str) -> BlobNotFound: ...


async def find(store: FileStore, path: str, *, max_files: int) -> list[DataItem]:
    """Raises BlobNotFound with the nearest names when there are none, FileTooLarge for more than `max_files`."""
    if path.endswith("/") and not is_glob(path):
        found = await _collect(store, path, None, max_files)
    else:
        exact = await store.exact(path)  # first, because names may hold `[`, `?` and the like
        if exact is not None:
            return [exact]
        if not is_glob(path):
            raise store.no_such(path, await _nearest(store, path))
        found = await _collect(store, path, Glob(path), max_files)
    if not found:
        raise store.no_match(path, await _nearest(store, path))
    return found


async def _collect(store: FileStore, path: str, glob: Glob | None, max_files: int) -> list[DataItem]:
    found: list[DataItem] = []
    async with contextlib.aclosing(_matching(store, path, glob)) as matches:
        async for item in matches:
            if item.size == 0 and item.path.endswith("/") and item.path != path:  # a folder's marker
                continue
            found.append(item)
            if len(found) > max_files:
                raise FileTooLarge(
                    f"source '{store.source}': '{printable(path)}' stands for more than {max_files:,} {store.noun}s "
                    "(max_fetch_files); narrow it",
                    param="path",
                )
    if len(found) > 1:  # a marker beside real files
        found = [item for item in found if item.size or item.path != path]
    return found


async def _matching(store: FileStore, path: str, glob: Glob | None) -> AsyncGenerator[DataItem]:
    for prefix in [path] if glob is None else glob.prefixes:
        async with contextlib.aclosing(store.below(prefix, glob.depth if glob else None)) as items:
            async for batch in _batches(items):
                # In a thread, because a pattern may stand for hundreds of alternatives.
                for item in batch if glob is None else await asyncio.to_thread(_matched, glob, batch):
                    yield item


def _matched(glob: Glob, items: Sequence[DataItem]) -> list[DataItem]:
    return [item for item in items if glob.matches(item.path)]


async def _batches(items: AsyncGenerator[DataItem]) -> AsyncGenerator[list[DataItem]]:
    batch: list[DataItem] = []
    async for item in items:
        batch.append(item)
        if len(batch) == _BATCH_ITEMS:
            yield batch
            batch = []
    if batch:
        yield batch


async def _nearest(store: FileStore, path: str) -> str:
    """A hint with the names most like `path`, from its own folder or else from anywhere."""
    names: Sequence[str] = ()
    try:
        for prefix in dict.fromkeys((path[: path.rfind("/") + 1], "")):
            names = await store.names(prefix, _NAMES_TO_COMPARE)
            if names:
                break
    except (SourceError, NotFound, InvalidRequest):  # credentials that may read but not list
        return ""
    if not names:
        return f"; the {store.whole} is empty"
    if any(name.startswith(path + "/") for name in names):
        return f"; it is a folder: '{printable(path)}/' stands for all that is in it"
    close = await asyncio.to_thread(_closest, path, names)
    return "; nearest: " + ", ".join(f"'{printable(name, 100)}'" for name in close) if close else ""


def _closest(path: str, names: Sequence[str]) -> list[str]:
    by_short = {name[:_COMPARED_LENGTH]: name for name in names}
    close = difflib.get_close_matches(path[:_COMPARED_LENGTH], list(by_short), n=_NAMES_TO_SHOW, cutoff=0.4)
    return [by_short[short] for short in close]
