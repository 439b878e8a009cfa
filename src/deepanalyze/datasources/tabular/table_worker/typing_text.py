"""The types of columns that are text in the file.

A type is taken when every value has it, of all rows that were read, so that nothing is lost or guessed: what begins
with a zero is no number, a decimal comma makes none, and dates are those of ISO 8601 only, as `03/04/2024` may be two
days. Words for "missing" count as NULL in columns whose other values have a type, and are words among words.
"""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .columns import Column
from .engine import Engine, quoted

MISSING = ("", "NA", "N/A", "#N/A", "NULL", "null", "None", "-")  # none of which any type takes for a value
_SAMPLE_ROWS = 2_000
_COLUMNS_AT_ONCE = 100  # the engine plans longer queries at length

_DAY = r"\d{4}-\d{2}-\d{2}"
_CLOCK = r"\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?"
_ZONE = r" ?(Z|[+-]\d{2}(:?\d{2})?)"
_NUMBER = r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?|[+-]?([Nn]a[Nn]|[Ii]nf(inity)?)"
_PATTERNS = {
    "DOUBLE": _NUMBER,
    "DATE": _DAY,
    "TIMESTAMP": f"{_DAY}([T ]{_CLOCK})?",
    "TIMESTAMP WITH TIME ZONE": f"{_DAY}[T ]{_CLOCK}{_ZONE}",
    "TIME": _CLOCK,
    "BOOLEAN": "true|false|True|False|TRUE|FALSE",
}
_WHOLE = ("BIGINT", "HUGEINT")
NUMBERS = (*_WHOLE, "DOUBLE")
TEMPORAL = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIME")
ANY_TYPE = (*NUMBERS, *TEMPORAL, "BOOLEAN")


@dataclass(frozen=True, slots=True)
class TextColumn:
    """`text` is SQL, `types` are what it may turn out to be, in the order in which they are tried."""

    name: str
    text: str
    types: Sequence[str] = ANY_TYPE


def typed(engine: Engine, relation: str, columns: Sequence[TextColumn]) -> list[Column]:
    """A few rows show what each column may be, and a look at all of them whether it is."""
    sample = f"(SELECT * FROM {relation} LIMIT {_SAMPLE_ROWS})"
    found: list[Column] = []
    for start in range(0, len(columns), _COLUMNS_AT_ONCE):
        some = dict(enumerate(columns[start : start + _COLUMNS_AT_ONCE]))
        may_be = dict(
            _chosen(engine, sample, some, {n: column.types for n, column in some.items()}, all_null=True)
        )
        open_types = {n: some[n].types[some[n].types.index(type) :] for n, type in may_be.items()}
        are = dict(_chosen(engine, relation, some, open_types, all_null=False))
        found += [_column(column, are.get(n)) for n, column in some.items()]
    return found


def _chosen(
    engine: Engine,
    source: str,
    columns: Mapping[int, TextColumn],
    types: Mapping[int, Sequence[str]],
    *,
    all_null: bool,
) -> Iterator[tuple[int, str]]:
    """The first type that fits, of each column that one fits. `all_null`: whether any fits a column without values."""
    left = {n: list(of_column) for n, of_column in types.items() if of_column}
    while left:
        tested = {n: of_column.pop(0) for n, of_column in left.items()}
        fitting = _fitting(engine, source, [(columns[n].text, type) for n, type in tested.items()], all_null)
        yield from ((n, type) for (n, type), fits in zip(tested.items(), fitting, strict=True) if fits)
        unfit = {n for n, fits in zip(tested, fitting, strict=True) if not fits}
        left = {n: of_column for n, of_column in left.items() if n in unfit and of_column}


def _fitting(
    engine: Engine, source: str, tests: Collection[tuple[str, str]], all_null: bool
) -> Iterable[bool]:
    words = ", ".join(map(quoted, MISSING))
    asked = ", ".join(
        f"count(TRY_CAST({text} AS {type})) > 0 OR {all_null}, "
        f"count(*) FILTER (WHERE NOT ({_is_of(type, text)}) AND NOT list_contains([{words}], {text})) = 0"
        for text, type in tests
    )
    [answers] = engine.rows(f"SELECT {asked} FROM {source}")
    return [some and all_ for some, all_ in zip(answers[::2], answers[1::2], strict=True)]


def _is_of(type: str, text: str) -> str:
    if type in _WHOLE:  # the one way to write the number: no zeros before it, no sign but minus
        return f"CAST(TRY_CAST({text} AS {type}) AS VARCHAR) IS NOT DISTINCT FROM {text}"
    return f"regexp_full_match({text}, {quoted(_PATTERNS[type])}) AND TRY_CAST({text} AS {type}) IS NOT NULL"


def _column(column: TextColumn, type: str | None) -> Column:
    if type is None:
        return Column(column.name, "VARCHAR", column.text, column.text, from_text=True)
    return Column(column.name, type, column.text, f"TRY_CAST({column.text} AS {type})", from_text=True)
