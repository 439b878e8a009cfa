"""Texts of values as JSON can hold them, the way `Table` says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

_WHOLE = frozenset(
    {
        "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "BIGNUM",
        "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
    }
)  # fmt: skip
_FLOATING = frozenset({"FLOAT", "DOUBLE"})
_EXACT_DIGITS = 15
_MAX_INT_DIGITS = 4_000  # Python neither reads nor writes much longer ones
_MAX_DEPTH = 100

Convert = Callable[[str], Any]


def is_nested(type: str) -> bool:
    return type.endswith("]") or type.startswith(("STRUCT", "MAP", "UNION", "JSON", "VARIANT"))


def is_number(type: str) -> bool:
    return type in _WHOLE or type in _FLOATING or type.startswith("DECIMAL")


def converter(type: str, max_chars: int) -> Convert:
    """A longer text becomes its beginning, and an ellipsis."""
    convert = _converter(type)
    return lambda text: convert(text) if len(text) <= max_chars else text[:max_chars] + "…"


def _converter(type: str) -> Convert:
    if type in _WHOLE:
        return int
    if is_number(type):
        return exact_number
    if type == "BOOLEAN":
        return lambda text: text.lower() == "true"
    return _document if is_nested(type) else str


def exact_number(text: str) -> float | str:
    """A float where its shortest decimal form is the number, else the text; NaN and infinities too."""
    value = float(text)
    if not math.isfinite(value):
        return str(Decimal(text)) if text[-1:].isdigit() else _in_words(value)
    if len(text) <= _EXACT_DIGITS and "e" not in text.lower():
        return value
    try:
        return value if Decimal(repr(value)) == Decimal(text) else text
    except ArithmeticError:
        return text


def _in_words(value: float) -> str:
    """As PostgreSQL has it."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _document(text: str) -> Any:
    """What could not be written again as it is stays text."""
    try:
        value = json.loads(text, parse_float=exact_number, parse_int=_integer)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (RecursionError, ValueError):
        return text
    return value if _depth_within(_MAX_DEPTH, value) else text


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _MAX_INT_DIGITS else text


def _depth_within(limit: int, value: Any) -> bool:
    level = [value]
    for _ in range(limit):
        nested = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, (dict, list))]
        level = [inner for values in nested for inner in values]
        if not level:
            return True
    return False
