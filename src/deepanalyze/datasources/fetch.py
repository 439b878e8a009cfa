"""Bringing what a request names into a directory, the same way for the library, the API, the CLI and chat."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepanalyze.datasources.base import Column, DataItem, DataSourceConnector, OnProgress, Progress
from deepanalyze.datasources.capabilities import (
    Downloaded,
    FileFormat,
    SupportsDownload,
    SupportsExport,
    SupportsItemDownload,
    SupportsVersions,
)
from deepanalyze.datasources.files import landing_name, safe_relative_name
from deepanalyze.datasources.limits import Limits
from deepanalyze.datasources.paths import printable
from deepanalyze.errors import FileTooLarge, InvalidRequest, NotSupported

PARALLEL_DOWNLOADS = 8
EXPORT_FORMATS = ("csv", "parquet")


@dataclass(frozen=True, slots=True)
class DataReference:
    """Names data in one source: exactly one of `path` (blob, glob, prefix), `query` (SQL) or `table`. `version_id` or
    `snapshot` choose an older version of the one file that `path` names.
    """

    source_id: str
    path: str | None = None
    query: str | None = None
    table: str | None = None
    format: FileFormat = "csv"
    save_as: str | None = None
    max_rows: int | None = None
    type: str | None = None
    version_id: str | None = None
    snapshot: str | None = None


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """One file that a reference brought. `file` is relative to the directory, with `/` between its parts."""

    file: str
    source_id: str
    name: str  # of the source
    type: str  # of the source
    bytes: int
    rows: int | None = None
    truncated: bool = False
    elapsed_ms: int = 0
    columns: tuple[Column, ...] = ()
    path: str | None = (
        None  # in the source, by which the file is found there again, whatever it is called here
    )
    version: str | None = None  # of the file, where the path alone means the newest
    etag: str | None = None
    content_encoding: str | None = (
        None  # how the bytes are compressed, as gzip, where the name does not say so
    )
    sql: str | None = None
    params: tuple[Any, ...] = ()
    format: FileFormat | None = None
    started_at: float | None = None  # Unix seconds
    snapshot_at: float | None = None  # by the source's clock: what the data were at that moment
    server_version: str | None = None


async def fetch(
    connector: DataSourceConnector,
    reference: DataReference,
    directory: Path,
    *,
    limits: Limits,
    on_progress: Callable[[Progress], None] | None = None,
) -> list[FetchedFile]:
    """Fetches one reference into `directory`. Either every file is there when it returns, or none is."""
    check_reference(reference)
    if reference.path is not None:
        return await _download_all(connector, reference, reference.path, directory, limits, on_progress)
    return [await _export(connector, reference, directory, on_progress)]


def check_reference(reference: DataReference) -> None:
    """Raises InvalidRequest unless exactly one of path, query and table is given, and sensibly."""
    given = [name for name in ("path", "query", "table") if getattr(reference, name) is not None]
    if len(given) != 1:
        found = "none was given" if not given else f"{' and '.join(given)} were given"
        raise InvalidRequest(
            f"a reference to data names exactly one of 'path', 'query' and 'table'; {found}",
            param=given[1] if given else "path",
        )
    if not str(getattr(reference, given[0])).strip():
        raise InvalidRequest(f"'{given[0]}' is empty", param=given[0])
    if reference.path is not None and reference.format != "csv":
        raise InvalidRequest("'format' is for queries and tables; files stay as they are", param="format")
    if reference.path is None and (reference.version_id or reference.snapshot):
        raise InvalidRequest(
            "'version_id' and 'snapshot' are for files, named by 'path'",
            param="version_id" if reference.version_id else "snapshot",
        )
    if reference.max_rows is not None and reference.max_rows < 1:
        raise InvalidRequest("'max_rows' must be at least 1", param="max_rows")


async def _export(
    connector: DataSourceConnector, reference: DataReference, directory: Path, on_progress: OnProgress | None
) -> FetchedFile:
    asked = "query" if reference.query is not None else "table"
    if not isinstance(connector, SupportsExport):
        raise NotSupported(
            f"source {connector.config.name!r} ({connector.config.type}) holds files; name them with 'path', "
            f"not '{asked}'",
            param=asked,
        )
    if reference.format not in EXPORT_FORMATS:
        raise NotSupported("results are written as 'csv' or 'parquet'", param="format")
    name = _export_name(reference)
    destination = directory / name
    started = time.monotonic()
    await asyncio.to_thread(destination.parent.mkdir, parents=True, exist_ok=True)
    exported = await connector.export(
        destination,
        query=reference.query,
        table=reference.table,
        format=reference.format,
        max_rows=reference.max_rows,
        on_progress=on_progress,
    )
    return FetchedFile(
        file=name,
        source_id=connector.config.id,
        name=connector.config.name,
        type=str(connector.config.type),
        bytes=exported.bytes,
        rows=exported.rows,
        truncated=exported.truncated,
        elapsed_ms=_ms_since(started),
        columns=exported.columns,
        path=reference.table,
        sql=exported.sql,
        params=exported.params,
        format=reference.format,
        started_at=exported.started_at,
        snapshot_at=exported.snapshot_at,
        server_version=exported.server_version,
    )


def _export_name(reference: DataReference) -> str:
    suffix = f".{reference.format}"
    if reference.save_as is not None:
        name = safe_relative_name(reference.save_as)
        return name if name.lower().endswith(suffix) else name + suffix
    if reference.table is not None:
        return (
            safe_relative_name(
                reference.table.replace('"', "").replace("/", "_").rpartition(".")[2] or "table"
            )
            + suffix
        )
    return f"query{suffix}"


async def _download_all(
    connector: DataSourceConnector,
    reference: DataReference,
    path: str,
    directory: Path,
    limits: Limits,
    on_progress: OnProgress | None,
) -> list[FetchedFile]:
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
    total = _Total(items, on_progress)
    arrived = _Arrived(connector, path, limits)
    slots = asyncio.Semaphore(PARALLEL_DOWNLOADS)
    await asyncio.to_thread(_make_folders, {(directory / name).parent for name in names})

    async def bring(index: int, item: DataItem) -> FetchedFile:
        destination = directory / names[index]
        async with slots:
            started = time.monotonic()
            done = await _downloaded(connector, item, destination, limits, total.of(index))
            arrived.add(done.bytes)
        return FetchedFile(
            file=names[index],
            source_id=connector.config.id,
            name=connector.config.name,
            type=str(connector.config.type),
            bytes=done.bytes,
            elapsed_ms=_ms_since(started),
            path=item.path,
            version=item.metadata.get("version"),
            etag=done.etag,
            content_encoding=item.metadata.get("content_encoding"),
        )

    try:
        return await _all_or_first_error([bring(index, item) for index, item in enumerate(items)])
    except BaseException:
        await asyncio.to_thread(_remove, [directory / name for name in names])
        raise


async def _downloaded(
    connector: SupportsDownload,
    item: DataItem,
    destination: Path,
    limits: Limits,
    on_progress: OnProgress | None,
) -> Downloaded:
    if isinstance(connector, SupportsItemDownload):
        return await connector.download_item(
            item, destination, max_bytes=limits.max_file_bytes, on_progress=on_progress
        )
    return await connector.download(
        item.path, destination, max_bytes=limits.max_file_bytes, on_progress=on_progress
    )


async def _all_or_first_error(work: Sequence[Coroutine[Any, Any, FetchedFile]]) -> list[FetchedFile]:
    """As a task group, but with the first error itself instead of a group around it; the others have ended then."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


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
        if item.size is not None and item.size > limits.max_file_bytes:
            raise FileTooLarge(
                f"source {source!r}: '{printable(item.path)}' has {item.size:,} bytes, the limit is "
                f"{limits.max_file_bytes:,} (max_file_bytes); fetch a smaller file or raise the limit",
                param="path",
            )
    _check_total(connector, path, sum(item.size or 0 for item in items), limits)


def _check_total(connector: DataSourceConnector, path: str, total: int, limits: Limits) -> None:
    if total > limits.max_fetch_bytes:
        raise FileTooLarge(
            f"source {connector.config.name!r}: the files of '{printable(path)}' have {total:,} bytes together, the "
            f"limit is {limits.max_fetch_bytes:,} (max_fetch_bytes); use a narrower pattern or raise the limit",
            param="path",
        )


class _Arrived:
    """Counts what did arrive, since files may grow after they were listed."""

    def __init__(self, connector: DataSourceConnector, path: str, limits: Limits) -> None:
        self._connector = connector
        self._path = path
        self._limits = limits
        self._bytes = 0

    def add(self, count: int) -> None:
        self._bytes += count
        _check_total(self._connector, self._path, self._bytes, self._limits)


def local_names(paths: Sequence[str], save_as: str | None = None) -> list[str]:
    """Where each file goes: under its base name; where two share one, both keep their folders.

    `save_as` names a single file, and the folder for several. No two get the same name.
    """
    if save_as is not None and len(paths) == 1 and not save_as.endswith("/"):
        return [safe_relative_name(save_as)]
    bases = [path.rstrip("/").rsplit("/", 1)[-1] for path in paths]
    shared = {base for base, count in Counter(base.casefold() for base in bases).items() if count > 1}
    folder = "" if save_as is None else safe_relative_name(save_as) + "/"
    wanted = [path if base.casefold() in shared else base for path, base in zip(paths, bases, strict=True)]
    return _distinct([folder + landing_name(name) for name in wanted])


def _distinct(names: Sequence[str]) -> list[str]:
    """Numbers what is still equal, and what would need a file to be a folder (`a` beside `a/b`)."""
    folders = {parent for name in names for parent in _parents(name)}
    taken: set[str] = set(folders)
    result = []
    for name in names:
        candidate, number = name, 2
        while candidate in taken:
            head, slash, last = name.rpartition("/")
            stem, dot, suffix = last.partition(".")
            candidate = f"{head}{slash}{stem}-{number}{dot}{suffix}"
            number += 1
        taken.add(candidate)
        result.append(candidate)
    return result


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


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


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
