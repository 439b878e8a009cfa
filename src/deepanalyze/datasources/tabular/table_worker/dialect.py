"""How a text separates its values, and where its header is. Told from the first records."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

DELIMITERS = (",", ";", "\t", "|")
_NONE = "\x1f"  # of a single column, whose values may hold all the others; no text has this one
_MAX_RECORDS = 1_000
_MAX_INTRODUCTION = 20  # lines of titles and comments above a table
_AGREEING = 0.5  # of all records have the most frequent number of values, else it is no separator
_TYPED = re.compile(
    r"[+-]?(\d[\d.,' ]*|[.,]\d+)([eE][+-]?\d+)?%?|\d{4}-\d{2}-\d{2}.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}.*"
    r"|true|false|nan|[+-]?inf",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(1[89]|2[01])\d{2}")

Record = Sequence[str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """`skip`: lines before the first row. `header`: the names of the columns, when the file has them."""

    delimiter: str
    skip: int
    header: Record | None
    width: int


def dialect_of(text: str, delimiter: str | None = None) -> Dialect | None:
    """None for a text without any records. The text ends with a line, or is whole."""
    candidates = [_Reading(text, one) for one in ([delimiter] if delimiter else (_NONE, *DELIMITERS))]
    best = max(candidates, key=lambda reading: reading.merit)
    if not best.records:
        return None
    first = best.introduction()
    records = best.records[first:]
    header = records[0] if is_header(records[0], records[1] if len(records) > 1 else None) else None
    width = max(len(records[0]), *(_used(record) for record in records))
    skip = best.starts[first] if header is None else best.ends[first]
    return Dialect(best.delimiter, skip, header, width)


def _used(record: Record) -> int:
    """Without what a separator at the end of each line adds."""
    width = len(record)
    while width and not record[width - 1]:
        width -= 1
    return width


class _Reading:
    """A text read with one delimiter. `starts` and `ends`: how many lines lie before each record, and with it."""

    def __init__(self, text: str, delimiter: str) -> None:
        self.delimiter = delimiter
        self.records: list[Record] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self._read(text)
        counts = Counter(map(len, self.records)).most_common(1)
        self._width, self._agreeing = counts[0] if counts else (0, 0)

    def _read(self, text: str) -> None:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter)
        before = 0
        with contextlib.suppress(csv.Error):  # a value longer than the module takes
            for record in reader:
                if any(record):
                    self.records.append(record)
                    self.starts.append(before)
                    self.ends.append(reader.line_num)
                before = reader.line_num
                if len(self.records) >= _MAX_RECORDS:
                    break

    @property
    def merit(self) -> tuple[float, int]:
        """How well the records agree on a number of values above one, and that number; else the first one's."""
        if self.delimiter == _NONE or not self.records:
            return (0, 2)
        share = self._agreeing / len(self.records)
        if self._width < 2 or share < _AGREEING:
            return (0, len(self.records[0]) + 1)
        return (round(share, 1), self._width)

    def introduction(self) -> int:
        """How many records are titles and comments: narrow, before wide ones."""
        if self._width < 2:
            return sum(1 for _ in _leading_comments(self.records))
        for place, record in enumerate(self.records[:_MAX_INTRODUCTION]):
            if len(record) > 1 and (len(record) == self._width or not record[0].startswith("#")):
                return place
        return 0


def _leading_comments(records: Sequence[Record]) -> Sequence[Record]:
    count = 0
    while count < min(_MAX_INTRODUCTION, len(records) - 1) and records[count][0].startswith("# "):
        count += 1
    return records[:count]


def is_header(first: Record, second: Record | None) -> bool:
    """Whether the first record names columns: it holds no numbers, dates or truth values, but may hold years."""
    values = [value.strip() for value in first if value.strip()]
    if not values:
        return False
    looking_typed = [value for value in values if _TYPED.fullmatch(value)]
    if not looking_typed:
        return True
    years = all(_YEAR.fullmatch(value) for value in looking_typed)
    if not years or len(looking_typed) < 2 or len(set(values)) < len(values):
        return False
    return first[0] not in looking_typed and (second is None or first[1:] != second[1:])
