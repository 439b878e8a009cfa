"""What a study found, in plain words: the answer and the report are made of these."""

from __future__ import annotations

from dataclasses import dataclass

from deepanalyze.analysis.profiler.facts import Column
from deepanalyze.analysis.profiler.plan import Field, Plan
from deepanalyze.analysis.profiler.prose import fixed, listed, number, percent, safe, spoken
from deepanalyze.analysis.profiler.words import name_words

UNITS = {
    "min": "minutes", "mins": "minutes", "minute": "minutes", "hour": "hours", "sec": "seconds",
    "second": "seconds", "ms": "ms",
    "km": "km", "mile": "miles", "kg": "kg", "lb": "lb", "usd": "USD", "eur": "EUR", "gbp": "GBP",
    "cny": "CNY", "pct": "%",
    "percent": "%", "celsius": "°C", "fahrenheit": "°F", "kwh": "kWh", "cm": "cm", "mm": "mm",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Findings:
    """Markdown. `headline` answers in a sentence or two, `points` are the evidence, `tables` what to look up."""

    headline: str
    points: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()


def unit_of(column: Column) -> str:
    """The unit where the data tells it: a difference of clock times, or a word of the name."""
    words = name_words(column.name)
    return column.unit or (UNITS.get(words[-1], "") if len(words) > 1 and column.kind == "number" else "")


def with_unit(text: str, field: Field | None) -> str:
    unit = unit_of(field.column) if field else ""
    return f"{text} {unit}".strip()


def condition_words(plan: Plan) -> str:
    return f" where {listed([safe(c.words) for c in plan.conditions])}" if plan.conditions else ""


def level_name(plan: Plan, label: str) -> str:
    return safe(label, 60)


__all__ = [
    "Findings",
    "condition_words",
    "fixed",
    "level_name",
    "listed",
    "number",
    "percent",
    "safe",
    "spoken",
    "unit_of",
    "with_unit",
]
