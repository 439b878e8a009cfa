"""Ids and names that are being taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from deepanalyze.datasources.repository import StoredSource
from deepanalyze.errors import AlreadyExists


class Reservations:
    """Keeps an id and a name for who tests and stores a source meanwhile; of concurrent ones, one succeeds."""

    def __init__(self) -> None:
        self._held: set[str] = set()

    def __contains__(self, label: object) -> bool:
        return label in self._held

    @contextmanager
    def held(
        self,
        source_id: str,
        name: str,
        known: Iterable[StoredSource],
        *,
        own: StoredSource | None = None,
    ) -> Iterator[None]:
        """Raises AlreadyExists when one is taken by another than `own`, the source that is changed: of two changes at
        a time the version tells the later one.
        """
        taken = self._held | {label for source in known for label in (source.id, source.name)}
        if own is not None:
            taken -= {own.id, own.name}
        labels = {"id": source_id, "name": name}
        for param, label in labels.items():
            if label in taken:
                raise AlreadyExists(
                    f"a data source with the name or id {label!r} exists already", param=param
                )
        self._held.update(labels.values())
        try:
            yield
        finally:
            self._held.difference_update(labels.values())
