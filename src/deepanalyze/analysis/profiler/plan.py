"""A plan: which table, which columns, what to join, in the names that the code will use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from deepanalyze.analysis.profiler.conditions import Condition
from deepanalyze.analysis.profiler.facts import Column, Data, Link, Table
from deepanalyze.analysis.profiler.intents import Kind, Statistic
from deepanalyze.analysis.profiler.mentions import Mention
from deepanalyze.analysis.profiler.words import name_words


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the frame that is analysed. `part` is the part of a date to read off (`month`, `hour` …)."""

    name: str
    column: Column
    part: str | None = None


@dataclass(frozen=True, slots=True)
class Join:
    """`columns` are taken from the table, under the names given; `label_of` marks a name for a code."""

    link: Link
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    kind: Kind
    base: Table
    target: Field | None = None
    groups: tuple[Field, ...] = ()
    drivers: tuple[Field, ...] = ()
    every_column: bool = (
        False  # of a table so wide that not all its columns are known here, every one may drive
    )
    controls: tuple[Field, ...] = ()
    blocks: Mapping[str, Sequence[str]] = field(
        default_factory=dict
    )  # drivers that the question names as one
    statistic: Statistic = "mean"
    top: int | None = None
    ascending: bool = False
    distinct: bool = False
    date: Field | None = None
    conditions: tuple[Condition, ...] = ()
    joins: tuple[Join, ...] = ()
    label: Field | None = None  # readable names for the first group or driver that is a code
    label_of: str | None = None
    notes: tuple[str, ...] = ()  # what was assumed, for the reader
    unknown: tuple[str, ...] = ()  # words that name nothing here


@dataclass(slots=True)
class Frame:
    """Collects the columns that are needed and the joins that bring them."""

    base: Table
    data: Data
    joins: dict[str, tuple[Link, list[tuple[str, str]]]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def link_to(self, table: str) -> Link | None:
        usable = [li for li in self.data.links if li.many == self.base.name and li.one == table]
        return min(usable, key=lambda li: (-li.matched, li.repeated, len(li.on)), default=None)

    def reaches(self, table: str) -> bool:
        return table == self.base.name or self.link_to(table) is not None

    def field(self, column: Column) -> Field | None:
        if column.table == self.base.name:
            return Field(column.name, column)
        link = self.link_to(column.table)
        if link is None:
            return None
        same = next((a for a, b in link.on if b == column.name), None)
        if same and self.base.column(same):
            return Field(same, replace(column, name=same, table=self.base.name))
        _, columns = self.joins.setdefault(column.table, (link, []))
        taken = {c.name for c in self.base.columns} | self.names
        known = next((new for old, new in columns if old == column.name), None)
        new = known or (column.name if column.name not in taken else f"{column.name}_{column.table}")
        if not known:
            columns.append((column.name, new))
            self.names.add(new)
        return Field(new, column)

    def of(self, mention: Mention) -> Field | None:
        here = sorted(mention.columns, key=lambda c: (c.table != self.base.name, not self.reaches(c.table)))
        for column in here:
            if found := self.field(column):
                return found
        if mention.table and not mention.columns:
            return self.key_of(mention.table.name)
        return self.calendar(mention.calendar) if mention.calendar else None

    def key_of(self, table: str) -> Field | None:
        """ "top customers" in a table of orders: the column that says whose order it is."""
        link = self.link_to(table) if table != self.base.name else None
        own = self.base.column(link.on[0][0]) if link and len(link.on) == 1 else None
        return Field(own.name, own) if own else None

    def calendar(self, part: str) -> Field | None:
        own = next((c for c in self.base.of_kind("calendar") if name_words(c.name)[-1:] == (part,)), None)
        if own:
            return Field(own.name, own)
        date = next(iter(self.base.of_kind("date")), None)
        return (
            Field(part if not self.base.column(part) else f"{part} of {date.name}", date, part)
            if date
            else None
        )

    def made_joins(self) -> tuple[Join, ...]:
        return tuple(Join(link, tuple(columns)) for link, columns in self.joins.values() if columns)
