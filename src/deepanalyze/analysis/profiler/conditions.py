"""Conditions that a question puts on rows: "more than 60 minutes", "to LAX", "in January"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from deepanalyze.analysis.profiler.facts import Column, Data, Hit
from deepanalyze.analysis.profiler.lexicon import MONTHS
from deepanalyze.analysis.profiler.mentions import Reading
from deepanalyze.analysis.profiler.words import name_words, normalise, words_of

Operator = Literal["==", ">", ">=", "<", "<=", "month", "year", "isin"]

NUMBER = r"(-?\d[\d,]*(?:\.\d+)?)"
COMPARISON = re.compile(
    r"(?P<op>more than|greater than|higher than|larger than|longer than|later than|bigger than|older "
    r"than|over|above|exceed\w*|>=|≥"
    r"|>|at least|less than|lower than|smaller than|shorter than|fewer than|younger "
    r"than|under|below|<=|≤|<|at most|no more than"
    r"|equals?(?: to)?|==?|exactly|超过|大于|高于|少于|小于|低于|至少)\s*" + NUMBER
)
SIGNS: tuple[tuple[str, Operator], ...] = (
    ("at least", ">="), (">=", ">="), ("≥", ">="), ("至少", ">="), ("at most", "<="), ("no more", "<="),
    ("<=", "<="), ("≤", "<="),
    ("less", "<"), ("lower", "<"), ("smaller", "<"), ("shorter", "<"), ("fewer", "<"), ("younger", "<"), ("under", "<"),
    ("below", "<"), ("<", "<"), ("少于", "<"), ("小于", "<"), ("低于", "<"), ("equal", "=="), ("=", "=="),
    ("exactly", "=="),
)  # fmt: skip
TOWARDS = {"to": {"destination", "to", "target"}, "from": {"origin", "from", "source", "departure"}}


@dataclass(frozen=True, slots=True)
class Condition:
    column: Column
    operator: Operator
    value: str | float | bool | tuple[str, ...]

    @property
    def words(self) -> str:
        if self.value is True:
            return f"{self.column.name} is true"
        if isinstance(self.value, tuple):
            return f"{self.column.name} is {' or '.join(self.value)}"
        if self.operator == "month":
            return f"the month is {MONTHS[int(self.value) - 1].title()}"
        if self.operator == "year":
            return f"the year is {self.value}"
        names = {
            "==": "is",
            ">": "is more than",
            ">=": "is at least",
            "<": "is less than",
            "<=": "is at most",
        }
        value = f"{self.value:,g}" if isinstance(self.value, float) else self.value
        return f"{self.column.name} {names.get(self.operator, self.operator)} {value}"


def conditions_of(reading: Reading, data: Data, reachable: Sequence[str]) -> list[Condition]:
    """Only on columns of the tables at hand; `reachable` has the main one first."""
    return [
        *comparisons(reading, data, reachable),
        *named_values(reading, data, reachable),
        *calendar_conditions(reading, data, reachable[0]),
    ]


def comparisons(reading: Reading, data: Data, reachable: Sequence[str]) -> list[Condition]:
    return [found for _, found in compared(reading, data, reachable) if found]


def unplaced(reading: Reading, data: Data, reachable: Sequence[str]) -> list[str]:
    """The words of comparisons that fit no column."""
    return [text for text, found in compared(reading, data, reachable) if found is None]


def compared(
    reading: Reading, data: Data, reachable: Sequence[str]
) -> Iterator[tuple[str, Condition | None]]:
    for match in COMPARISON.finditer(reading.normalised):
        value = float(match.group(2).replace(",", ""))
        column = measure_near(reading, match.start(), reachable) or only_one_in_range(value, reachable, data)
        operator: Operator = next((sign for word, sign in SIGNS if match.group("op").startswith(word)), ">")
        yield match.group(0).strip(), Condition(column, operator, value) if column else None


def only_one_in_range(value: float, reachable: Sequence[str], data: Data) -> Column | None:
    """ "earn more than 60000" names no column, but only one may be meant."""
    numbers = data.tables[reachable[0]].of_kind("number")
    fitting = [c for c in numbers if isinstance(c.low, int | float) and c.low <= value <= c.high]
    return fitting[0] if len(fitting) == 1 else None


def measure_near(reading: Reading, place: int, reachable: Sequence[str]) -> Column | None:
    """The number that was named last before the comparison, else the first after it."""
    places = [(reading.words[m.first].start, m) for m in reading.mentions if m.table is None]
    before = [m for start, m in reversed(places) if start < place]
    after = [m for start, m in places if start >= place]
    for mention in (*before, *after):
        for table in reachable:
            column = next(
                (c for c in mention.columns if c.table == table and c.kind in ("number", "calendar")), None
            )
            if column:
                return column
    return None


def named_values(reading: Reading, data: Data, reachable: Sequence[str]) -> list[Condition]:
    """The value's words must not already name a column; of several columns with that value the likeliest counts."""
    texts = [w.text for w in reading.words]
    mentioned = {i for m in reading.mentions for i in m.words}
    conditions: dict[str, list[str]] = {}
    columns: dict[str, Column] = {}
    used: set[int] = set()
    for hit in sorted(data.hits, key=lambda h: -likelihood(h, reading, reachable)):
        place = place_of([w.text for w in words_of(normalise(hit.value))], texts)
        column = data.find(hit.table, hit.column)
        if not place or set(place) & (used | mentioned) or hit.table not in reachable or column is None:
            continue
        used |= set(place)
        key = f"{hit.table}.{hit.column}"
        columns[key] = column
        conditions.setdefault(key, []).append(hit.value)
    return [Condition(columns[key], "isin", tuple(values)) for key, values in conditions.items()]


def likelihood(hit: Hit, reading: Reading, reachable: Sequence[str]) -> float:
    """Longer values, columns named or hinted at ("to LAX": the destination), nearer tables, more rows."""
    texts = [w.text for w in reading.words]
    place = place_of([w.text for w in words_of(normalise(hit.value))], texts)
    before = texts[place[0] - 1] if place and place[0] else ""
    hinted = bool(TOWARDS.get(before, set()) & set(name_words(hit.column)))
    named = any(hit.column == c.name for m in reading.mentions for c in m.columns)
    near = -reachable.index(hit.table) if hit.table in reachable else -99
    return 100 * len(place) + 20 * hinted + 10 * named + near + min(hit.rows, 10**6) / 10**7


def place_of(words: Sequence[str], texts: Sequence[str]) -> list[int]:
    for i in range(len(texts) - len(words) + 1):
        if words and list(texts[i : i + len(words)]) == list(words):
            return list(range(i, i + len(words)))
    return []


def calendar_conditions(reading: Reading, data: Data, table: str) -> list[Condition]:
    """ "in January", "in 2013", where the table has a date or such a column."""
    found: list[Condition] = []
    dates = data.tables[table].of_kind("date")
    for part, pattern in (
        ("month", rf"\b(?:in|during|of|for|since)\s+({'|'.join(MONTHS)})\b"),
        ("year", r"\b(?:in|during|of|for)\s+((?:1[6-9]|20|21)\d\d)\b"),
    ):
        match = re.search(pattern, reading.normalised)
        column = next(
            (c for c in data.tables[table].of_kind("calendar") if name_words(c.name)[-1:] == (part,)), None
        )
        if not match:
            continue
        value = float(MONTHS.index(match.group(1)) + 1 if part == "month" else int(match.group(1)))
        if column:
            found.append(Condition(column, "==", value))
        elif dates:
            found.append(Condition(dates[0], "month" if part == "month" else "year", str(int(value))))
    return found
