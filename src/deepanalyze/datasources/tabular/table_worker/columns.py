"""A table as the engine holds it, and what is known of its columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .failures import TooLarge

MAX_COLUMNS = 2_000


@dataclass(frozen=True, slots=True)
class Column:
    """`text` and `value` are SQL: the value's exact text, and the value with its type. `from_text`: the text is what
    the file has, and the value was read from it.
    """

    name: str
    type: str
    text: str
    value: str
    from_text: bool = False


@dataclass(frozen=True, slots=True)
class Relation:
    sql: str  # what stands behind FROM
    columns: Sequence[Column]


def check_count(columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise TooLarge(
            f"has more than {MAX_COLUMNS:,} columns, which is as many as are shown; store it with fewer"
        )


def distinct_names(names: Iterable[str]) -> list[str]:
    """Columns without a name are called `column0`, `column1` … by their place, repeated names `name_1`, `name_2` …"""
    found: list[str] = []
    taken: set[str] = set()
    counts: dict[str, int] = {}
    for place, wanted in enumerate(names):
        base = wanted.strip() or f"column{place}"
        name = base
        while name in taken:
            counts[base] = counts.get(base, 0) + 1
            name = f"{base}_{counts[base]}"
        taken.add(name)
        found.append(name)
    return found
