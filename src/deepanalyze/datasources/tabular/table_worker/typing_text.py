"""The types of columns that are text in the file.

A type is taken when every value has it, of all rows that were read, so that nothing is lost or guessed: what begins
with a zero is no number, a decimal comma makes none, and dates are those of ISO 8601 only, as `03/04/2024` may be two
days. Words for "missing" count as NULL in columns whose other values have a type, and are words among words.
"""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

from collections.abc import Sequence

from .columns import Column
from .engine import Engine, quoted

MISSING = ("", "NA", "N/A", "#N/A", "NULL", "null", "None", "-")
_SAMPLE_ROWS = 2_000
_COLUMNS_AT_ONCE = 200

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
TEMPORAL = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIME")
ANY_TYPE = (*_WHOLE, "DOUBLE", *TEMPORAL, "BOOLEAN")
NUMBERS = (*_WHOLE, "DOUBLE")


def typed(
    engine: Engine, relation: str, columns: Sequence[tuple[str, str, Sequence[str]]], *, missing: bool
) -> list[Column]:
    """Of columns with their names, the SQL of their texts and the types they may have. `missing`: whether words may
    mean NULL.
    """
    found: list[Column] = []
    for start in range(0, len(columns), _COLUMNS_AT_ONCE):
        found += _typed(engine, relation, columns[start : start + _COLUMNS_AT_ONCE], missing)
    return found


def _typed(
    engine: Engine, relation: str, columns: Sequence[tuple[str, str, Sequence[str]]], missing: bool
) -> list[Column]:
    """A sample shows what may be, and one look at all rows for each candidate whether it is."""
    open_ = {place: list(may_be) for place, (_, _, may_be) in enumerate(columns)}
    chosen: dict[int, str] = {}
    for source, of_nothing in ((f"(SELECT * FROM {relation} LIMIT {_SAMPLE_ROWS})", True), (relation, False)):
        chosen = {}
        undecided = dict(open_)
        while undecided:
            tested = {place: types[0] for place, types in undecided.items() if types}
            fitting = _fitting(engine, source, columns, tested, missing, of_nothing)
            chosen |= {place: tested[place] for place in fitting}
            for place in tested.keys() - fitting:
                open_[place] = undecided[place][1:]
            undecided = {place: open_[place] for place in tested.keys() - fitting}
    return [
        _column(title, text, chosen.get(place), missing) for place, (title, text, _) in enumerate(columns)
    ]


def _fitting(
    engine: Engine,
    source: str,
    columns: Sequence[tuple[str, str, Sequence[str]]],
    tested: dict[int, str],
    missing: bool,
    of_nothing: bool,
) -> set[int]:
    """Where every value has the tested type; of columns without any, all or none."""
    if not tested:
        return set()
    tests = []
    for place, type in tested.items():
        text = _present(columns[place][1], missing)
        tests.append(
            f"coalesce(bool_and({_is_of(type, text)}) FILTER (WHERE {text} IS NOT NULL), {of_nothing})"
        )
    [answers] = engine.rows(f"SELECT {', '.join(tests)} FROM {source}")
    return {place for place, fits in zip(tested, answers, strict=True) if fits}


def _is_of(type: str, text: str) -> str:
    if type in _WHOLE:  # the one way to write the number: no zeros before it, no sign but minus
        return f"coalesce(CAST(TRY_CAST({text} AS {type}) AS VARCHAR) = {text}, false)"
    matches = f"regexp_full_match({text}, {quoted(_PATTERNS[type])})"
    return f"({matches} AND TRY_CAST({text} AS {type}) IS NOT NULL)"


def _present(text: str, missing: bool) -> str:
    words = ", ".join(map(quoted, MISSING))
    return f"(CASE WHEN {text} NOT IN ({words}) THEN {text} END)" if missing else text


def _column(title: str, text: str, type: str | None, missing: bool) -> Column:
    if type is None:
        return Column(title, "VARCHAR", text, text, from_text=True)
    text = _present(text, missing)
    return Column(title, type, text, f"TRY_CAST({text} AS {type})", from_text=True)
