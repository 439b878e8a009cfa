"""What a thread's files are and where they came from, kept beside its workspace, out of the code's reach."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from deepanalyze.analysis.conversation import DataFile
from deepanalyze.datasources.base import Column
from deepanalyze.datasources.references import DataReference, FetchedFile
from deepanalyze.workspace import Workspace, WorkspaceFile

_NAME = "fetched.json"


@dataclass(slots=True)
class Manifest:
    """`fetched` by name in the workspace; `uploads` from a file's id to its name there."""

    fetched: dict[str, FetchedFile] = field(default_factory=dict)
    uploads: dict[str, str] = field(default_factory=dict)
    references: list[tuple[DataReference, tuple[str, ...]]] = field(default_factory=list)

    def add(self, reference: DataReference, files: Sequence[FetchedFile]) -> None:
        self.fetched.update({file.file: file for file in files})
        self.references.append((reference, tuple(file.file for file in files)))

    def brought_by(self, reference: DataReference) -> list[FetchedFile]:
        """What the same reference brought before; empty when it never did."""
        names = next((names for known, names in reversed(self.references) if known == reference), ())
        return [self.fetched[name] for name in names]

    def describe(self, present: Iterable[WorkspaceFile]) -> list[DataFile]:
        """What is there, as a model is told of it; of what code has changed since, the size alone."""
        return [self._described(file) for file in present]

    def truncated(self, present: Iterable[WorkspaceFile]) -> list[FetchedFile]:
        sizes = {file.name: file.size for file in present}
        return [f for f in self.fetched.values() if f.truncated and sizes.get(f.file) == f.bytes]

    def _described(self, file: WorkspaceFile) -> DataFile:
        known = self.fetched.get(file.name)
        if known is None or known.bytes != file.size:
            return DataFile(file.name, file.size)
        return DataFile(
            file.name,
            file.size,
            source=known.name,
            source_type=known.type,
            path=known.path,
            content_encoding=known.content_encoding,
            sql=known.sql,
            rows=known.rows,
            truncated=known.truncated,
            columns=known.columns,
        )


def load_manifest(workspace: Workspace) -> Manifest:
    try:
        data = json.loads((workspace.root.parent / _NAME).read_bytes())
    except FileNotFoundError:
        return Manifest()
    return Manifest(
        fetched={name: fetched_file(fields) for name, fields in data["fetched"].items()},
        uploads=data["uploads"],
        references=[(DataReference(**fields), tuple(names)) for fields, names in data["references"]],
    )


def _save(workspace: Workspace, manifest: Manifest) -> None:
    path = workspace.root.parent / _NAME
    part = workspace.staging / _NAME  # what a crash leaves there is removed at the next start
    with part.open("w") as file:
        json.dump(asdict(manifest), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def record(workspace: Workspace, news: Manifest) -> Manifest:
    """Adds to what is kept, whoever else does at the same time. Returns all of it."""
    with _locked(workspace):
        manifest = load_manifest(workspace)
        manifest.fetched.update(news.fetched)
        manifest.uploads.update(news.uploads)
        manifest.references += news.references
        _save(workspace, manifest)
    return manifest


def record_fetched(workspace: Workspace, reference: DataReference, files: Sequence[FetchedFile]) -> None:
    """For what was fetched into a thread outside of an analysis, so that its next one knows where it came from."""
    news = Manifest()
    news.add(reference, files)
    record(workspace, news)


@contextlib.contextmanager
def _locked(workspace: Workspace) -> Iterator[None]:
    directory = os.open(workspace.root.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def fetched_file(fields: Mapping[str, Any]) -> FetchedFile:
    columns = tuple(Column(**column) for column in fields["columns"])
    return FetchedFile(**{**fields, "columns": columns, "params": tuple(fields.get("params", ()))})
