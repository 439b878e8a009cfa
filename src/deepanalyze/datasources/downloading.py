"""Brings all the files that one path of a source stands for, several at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from deepanalyze.datasources.base import DataItem, DataSourceConnector, OnProgress, Progress
from deepanalyze.datasources.capabilities import (
    Downloaded,
    SupportsDownload,
    SupportsItemDownload,
    SupportsVersions,
)
from deepanalyze.datasources.landing import local_names
from deepanalyze.datasources.limits import Limits, check_file_size
from deepanalyze.datasources.paths import printable
from deepanalyze.datasources.progress import ms_since
from deepanalyze.datasources.references import DataReference, FetchedFile
from deepanalyze.datasources.running import first_of
from deepanalyze.errors import FileTooLarge, NotSupported

PARALLEL_DOWNLOADS = 8

_Download = Callable[[DataItem, Path, OnProgress | None], Awaitable[Downloaded]]


async def download_all(
    connector: DataSourceConnector,
    reference: DataReference,
    path: str,
    directory: Path,
    limits: Limits,
    on_progress: OnProgress | None,
) -> list[FetchedFile]:
    """Every file that a path stands for, or none. Raises FileTooLarge before anything is transferred."""
    if not isinstance(connector, SupportsDownload):
        raise NotSupported(
            f"source {connector.config.name!r} ({connector.config.type}) holds tables; name one with 'table', or ask "
            "with 'query', not 'path'",
            param="path",
        )
    path = _with_version(connector, reference, path)
    items = await connector.find(path)
    _check_sizes(connector, path, items, limits)
    names = local_names([item.path for item in items], reference.save_as)
    await asyncio.to_thread(_make_folders, {(directory / name).parent for name in names})
    return await _Downloads(connector, path, items, names, directory, limits, on_progress).run()


class _Downloads:
    def __init__(
        self,
        connector: DataSourceConnector,
        path: str,
        items: Sequence[DataItem],
        names: Sequence[str],
        directory: Path,
        limits: Limits,
        on_progress: OnProgress | None,
    ) -> None:
        self._connector = connector
        self._path = path
        self._items = items
        self._names = names
        self._directory = directory
        self._limits = limits
        self._total = _Total(items, on_progress)
        self._arrived_bytes = 0
        self._waiting = iter(range(len(items)))
        self._brought: dict[int, FetchedFile] = {}

    async def run(self) -> list[FetchedFile]:
        """A few workers instead of a task for each, which would cost more than a small file does."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(PARALLEL_DOWNLOADS, len(self._items))):
                    group.create_task(self._work())
        except BaseException as failure:
            await asyncio.to_thread(_remove, [self._directory / file.file for file in self._brought.values()])
            if isinstance(failure, BaseExceptionGroup):
                raise first_of(failure) from None
            raise
        return [self._brought[index] for index in range(len(self._items))]

    async def _work(self) -> None:
        download = _download_of(self._connector, self._limits)
        for index in self._waiting:
            item, name = self._items[index], self._names[index]
            started = time.monotonic()
            done = await download(item, self._directory / name, self._total.of(index))
            self._brought[index] = FetchedFile(
                file=name,
                source_id=self._connector.config.id,
                name=self._connector.config.name,
                type=str(self._connector.config.type),
                bytes=done.bytes,
                elapsed_ms=ms_since(started),
                path=item.path,
                version=item.metadata.get("version"),
                etag=done.etag,
                content_encoding=item.metadata.get("content_encoding"),
            )
            self._arrived_bytes += done.bytes  # counted, since files may grow after they were listed
            _check_total(self._connector, self._path, self._arrived_bytes, self._limits)


def _download_of(connector: DataSourceConnector, limits: Limits) -> _Download:
    max_bytes = limits.max_file_bytes
    if isinstance(connector, SupportsItemDownload):
        by_item = connector.download_item
        return lambda item, to, progress: by_item(item, to, max_bytes=max_bytes, on_progress=progress)
    assert isinstance(connector, SupportsDownload)
    by_path = connector.download
    return lambda item, to, progress: by_path(item.path, to, max_bytes=max_bytes, on_progress=progress)


def _with_version(connector: DataSourceConnector, reference: DataReference, path: str) -> str:
    if not (reference.version_id or reference.snapshot):
        return path
    if not isinstance(connector, SupportsVersions):
        raise NotSupported(
            f"source {connector.config.name!r} ({connector.config.type}) keeps no versions of its files",
            param="version_id" if reference.version_id else "snapshot",
        )
    return connector.versioned(path, version_id=reference.version_id, snapshot=reference.snapshot)


def _check_sizes(
    connector: DataSourceConnector, path: str, items: Sequence[DataItem], limits: Limits
) -> None:
    """Before the first byte is asked for."""
    source = connector.config.name
    if len(items) > limits.max_files:
        raise FileTooLarge(
            f"source {source!r}: '{printable(path)}' stands for {len(items):,} files, the limit is "
            f"{limits.max_files:,} (max_fetch_files); use a narrower pattern",
            param="path",
        )
    for item in items:
        check_file_size(source, item.path, item.size or 0, limits.max_file_bytes)
    _check_total(connector, path, sum(item.size or 0 for item in items), limits)


def _check_total(connector: DataSourceConnector, path: str, total: int, limits: Limits) -> None:
    if total > limits.max_fetch_bytes:
        raise FileTooLarge(
            f"source {connector.config.name!r}: the files of '{printable(path)}' have {total:,} bytes together, the "
            f"limit is {limits.max_fetch_bytes:,} (max_fetch_bytes); use a narrower pattern or raise the limit",
            param="path",
        )


class _Total:
    """Adds the progress of several downloads up."""

    def __init__(self, items: Sequence[DataItem], on_progress: OnProgress | None) -> None:
        self._done = [0] * len(items)
        sizes = [item.size for item in items]
        self._total = None if None in sizes else sum(size for size in sizes if size is not None)
        self._on_progress = on_progress

    def of(self, index: int) -> OnProgress | None:
        if self._on_progress is None:
            return None

        def report(progress: Progress) -> None:
            self._done[index] = progress.bytes
            assert self._on_progress is not None
            self._on_progress(Progress(bytes=sum(self._done), total_bytes=self._total))

        return report


def _make_folders(folders: Iterable[Path]) -> None:
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
