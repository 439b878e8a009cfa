"""Which blobs a name, a glob or a prefix stands for."""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from deepanalyze.datasources.base import DataItem
from deepanalyze.datasources.connectors.azure_blob.names import leads_out
from deepanalyze.datasources.connectors.azure_blob.properties import item_of
from deepanalyze.datasources.glob import Glob, is_glob
from deepanalyze.datasources.paths import printable
from deepanalyze.errors import BlobNotFound, InvalidRequest, NotFound, SourceError

if TYPE_CHECKING:
    from deepanalyze.datasources.connectors.azure_blob.session import ContainerSession

_NAMES_TO_COMPARE = 1000
_COMPARED_LENGTH = 200
_NAMES_TO_SHOW = 3


async def find(session: ContainerSession, path: str, *, max_files: int) -> list[DataItem]:
    if path.endswith("/") and not is_glob(path):
        matches = below(session, path)
    elif is_glob(path):
        exact = await _exact(session, path)  # names may hold `[`, `?` and the like
        if exact is not None:
            return [exact]
        matches = _matching(session, Glob(path))
    else:
        exact = await _exact(session, path)
        if exact is None:
            raise session.errors.no_such_blob(path, await _nearest(session, path))
        return [exact]
    found = await _collect(session, path, matches, max_files)
    if not found:
        raise session.errors.no_match(path, await _nearest(session, path))
    return found


async def below(session: ContainerSession, prefix: str) -> AsyncIterator[DataItem]:
    async for page in session.pages(prefix):
        for item in page.items:
            yield item


async def _matching(session: ContainerSession, glob: Glob) -> AsyncIterator[DataItem]:
    for prefix in glob.prefixes:
        async for item in below(session, prefix):
            if glob.matches(item.path):
                yield item


async def _collect(
    session: ContainerSession, path: str, matches: AsyncIterator[DataItem], max_files: int
) -> list[DataItem]:
    found: list[DataItem] = []
    async for item in matches:
        if item.size == 0 and item.path.endswith("/") and item.path != path:  # a folder's marker
            continue
        found.append(item)
        if len(found) > max_files:
            raise InvalidRequest(
                f"source '{session.errors.source}': '{printable(path)}' stands for more than {max_files:,} blobs "
                "(max_fetch_files); narrow it",
                param="path",
            )
    if len(found) > 1:  # a marker beside real files
        found = [item for item in found if item.size or item.path != path]
    return found


async def _exact(session: ContainerSession, name: str) -> DataItem | None:
    if leads_out(name):
        return None
    try:
        return item_of(await session.run(session.properties(name)))
    except BlobNotFound:
        return None


async def _nearest(session: ContainerSession, path: str) -> str:
    """A hint with the names most like `path`, from its own folder or else from anywhere in the container."""
    names: list[str] = []
    try:
        for prefix in dict.fromkeys((path[: path.rfind("/") + 1], "")):
            page = await session.run(session.page(prefix, max_results=_NAMES_TO_COMPARE))
            names += [item.path for item in page.items]
            if names:
                break
    except (SourceError, NotFound):  # credentials that may read but not list
        return ""
    if not names:
        return "; the container is empty"
    if any(name.startswith(path + "/") for name in names):
        return f"; it is a folder: '{printable(path)}/' stands for all that is in it"
    close = await session.in_thread(_closest, path, names)
    return "; nearest: " + ", ".join(f"'{printable(name, 100)}'" for name in close) if close else ""


def _closest(path: str, names: list[str]) -> list[str]:
    by_short = {name[:_COMPARED_LENGTH]: name for name in names}
    close = difflib.get_close_matches(path[:_COMPARED_LENGTH], list(by_short), n=_NAMES_TO_SHOW, cutoff=0.4)
    return [by_short[short] for short in close]
