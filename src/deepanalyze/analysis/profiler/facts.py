"""What the profiler knows of the data, read from what its own code printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

MEASURES = ("number", "boolean")
GROUPINGS = ("category", "boolean", "calendar", "id", "text", "constant")


@dataclass(frozen=True, slots=True)
class Column:
    """Numbers are None where the output had no room for them."""

    table: str
    name: str
    kind: str
    missing: int = 0
    distinct: int = 0
    low: Any = None
    mean: float | None = None
    high: Any = None
    far: int = 0  # values far outside the middle half
    unit: str = ""

    @property
    def is_measure(self) -> bool:
        return self.kind in MEASURES


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    rows: int
    columns: tuple[Column, ...]
    files: tuple[str, ...] = ()
    truncated: bool = False
    from_query: bool = False
    duplicates: int = 0
    left_out: int = 0
    notes: tuple[str, ...] = ()
    correlations: tuple[tuple[str, str, float], ...] = ()

    def column(self, name: str) -> Column | None:
        return next((c for c in self.columns if c.name == name), None)

    def of_kind(self, *kinds: str) -> list[Column]:
        return [c for c in self.columns if c.kind in kinds]


@dataclass(frozen=True, slots=True)
class Link:
    """Rows of `one` can be looked up from rows of `many` by equal values of the pairs in `on`."""

    many: str
    one: str
    on: tuple[tuple[str, str], ...]
    matched: int
    of: int
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """A value of the data that the question names."""

    table: str
    column: str
    value: str
    rows: int


@dataclass(frozen=True, slots=True)
class Data:
    tables: Mapping[str, Table] = field(default_factory=dict)
    links: Sequence[Link] = ()
    hits: Sequence[Hit] = ()
    unreadable: Sequence[tuple[str, str]] = ()

    @property
    def columns(self) -> Iterable[Column]:
        return (column for table in self.tables.values() for column in table.columns)

    @property
    def largest(self) -> Table:
        return max(self.tables.values(), key=lambda t: (t.rows, not t.truncated))

    def find(self, table: str, name: str) -> Column | None:
        return self.tables[table].column(name) if table in self.tables else None


def table_from(name: str, printed: Mapping[str, Any], **more: Any) -> Table:
    columns = []
    for row in printed["columns"]:
        column, kind, missing, distinct, low, mean, high, far = (list(row) + [None] * 8)[:8]
        columns.append(
            Column(name, column, kind, missing or 0, distinct or 0, low, mean, high, int(far or 0))
        )
        if column in printed.get("minutes", ()):
            columns[-1] = replace(columns[-1], unit="minutes")
    return Table(
        name,
        printed["rows"],
        tuple(columns),
        duplicates=printed.get("duplicates", 0),
        left_out=printed.get("left_out", 0),
        correlations=tuple((a, b, r) for a, b, r in printed.get("correlations", ())),
        **more,
    )


def link_from(printed: Mapping[str, Any]) -> Link:
    pairs = tuple((a, b) for a, b in printed["on"])
    return Link(
        printed["many"], printed["one"], pairs, printed["matched"], printed["of"], printed["repeated"]
    )
