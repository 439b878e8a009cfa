"""What a question wants: one of a handful of plain kinds of answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from deepanalyze.analysis.profiler.facts import Column
from deepanalyze.analysis.profiler.lexicon import NUMBER_WORDS
from deepanalyze.analysis.profiler.mentions import Mention, Reading

Kind = Literal["drivers", "count", "top", "trend", "relation", "aggregate", "overview"]
Statistic = Literal["mean", "median", "sum", "min", "max", "count"]

DRIVERS = re.compile(
    r"\b(drives?|drivers?|driven|affect\w*|influenc\w*|impacts?|effects?|caus\w+|explains?|determin\w+|predict\w*|factors?"
    r"|why|depends?|contribut\w+|leads? to|matters? (?:most )?for)\b"
)
REVERSED = re.compile(
    r"\b(driven|affected|influenced|caused|explained|determined|predicted|impacted) by\b|\bdepends? (?:up)?on\b"
)
OF_ON = re.compile(r"\b(impacts?|effects?|influences?)\b.* on\b")
COUNT = re.compile(r"\b(how many|number of|count of|counts?|how often)\b")
BY_COUNT = re.compile(r"\b(?:by|with the (?:most|highest|largest)) (?:number of|count of|counts?\b)")
TOP = re.compile(
    r"\b(top|bottom|highest|lowest|best|worst|most|least|largest|smallest|biggest|greatest|fewest|longest|shortest"
    r"|cheapest|maximum|minimum)\b"
)
LOW = re.compile(r"\b(bottom|lowest|least|smallest|fewest|shortest|cheapest|minimum)\b")
TREND = re.compile(
    r"\b(over time|trends?|over the (?:years?|months?|weeks?|days?)|time "
    r"series|evol\w+|develop\w*|monthly|daily|weekly|yearly"
    r"|annually|quarterly|hourly|(?:per|by|each|every) (?:month|day|week|year|quarter|date))\b"
)
RELATION = re.compile(r"\b(vs|versus|against|relat\w+|correlat\w+|associat\w+|scatter)\b")
STATISTICS: tuple[tuple[Statistic, str], ...] = (
    ("mean", r"\b(average|avg|mean|means)\b"),
    ("median", r"\bmedians?\b"),
    ("sum", r"\b(total|sum|sums|overall)\b"),
    ("max", r"\b(maximum|max)\b"),
    ("min", r"\b(minimum|min)\b"),
)
GROUPING = re.compile(
    r"\b(by|per|for each|for every|each|across|among|in each|of each|between different|grouped by)\b"
)
ADDITIVE = re.compile(
    r"revenue|sales?\b|amount|quantity|profit|cost|income|volume|units|total|spend|order", re.I
)


@dataclass(frozen=True, slots=True)
class Intent:
    """Mentions in their roles; nothing is resolved to a table yet."""

    kind: Kind
    target: Mention | None = None
    others: tuple[Mention, ...] = ()  # groups, drivers, or the second of two measures
    statistic: Statistic | None = None
    top: int | None = None
    ascending: bool = False
    distinct: bool = False  # how many different ones


def intent_of(reading: Reading) -> Intent:
    text = reading.normalised
    if DRIVERS.search(text):
        return drivers_intent(reading)
    statistic = next((name for name, pattern in STATISTICS if re.search(pattern, text)), None)
    grouped = grouped_mentions(reading)
    measures = [m for m in reading.mentions if m not in grouped]
    top, ascending = top_of(reading), bool(LOW.search(text))
    if (counted := BY_COUNT.search(text)) and TOP.search(text[: counted.start()]):
        start = counted.start()
        groups = tuple(
            m for m in reading.mentions if reading.words[m.first].start < start and not is_measured(m)
        )
        return Intent("count", None, groups, "count", top or 10, ascending)
    if COUNT.search(text) and not statistic:
        if TREND.search(text) and not [m for m in grouped if not may_be_time(m)]:
            return Intent("trend", None, tuple(grouped), "count")
        if not grouped and (kinds := counted_kinds(reading)):
            return Intent("count", None, kinds, "count", distinct=True)
        return Intent("count", first_measure(measures), tuple(grouped), "count", top, ascending)
    if RELATION.search(text) and len(reading.mentions) > 1:
        target, *rest = reading.mentions
        if len(rest) == 1 and re.search(
            r"\bbetween\b", text
        ):  # "between price and revenue": price comes first
            target, rest = rest[0], [target]
        return Intent("relation", target, tuple(rest), statistic)
    if TOP.search(text) and reading.mentions:
        return top_intent(reading, grouped, statistic, top, ascending)
    if TREND.search(text):
        followed = first_measure([m for m in measures if not may_be_time(m)])
        if followed or not reading.strangers:
            return Intent("trend", followed, tuple(m for m in grouped if not may_be_time(m)), statistic)
    if reading.mentions and (statistic or grouped or any(is_measured(m) for m in measures)):
        return Intent(
            "aggregate",
            first_measure(measures),
            tuple(grouped or others(measures)),
            statistic,
            top,
            ascending,
        )
    if [m for m in reading.mentions if m.columns]:
        return Intent("aggregate", None, tuple(m for m in reading.mentions if m.columns), "count")
    return Intent("aggregate" if statistic else "overview", statistic=statistic)


def counted_kinds(reading: Reading) -> tuple[Mention, ...]:
    """ "how many different products", "how many carriers are there": values are counted, not rows."""
    named = tuple(m for m in reading.mentions if m.columns and not is_measured(m) and not may_be_time(m))[:1]
    said = re.search(r"\b(distinct|different|unique)\b", reading.normalised)
    return named if said or not any(m.table or is_measured(m) for m in reading.mentions) else ()


def others(measures: list[Mention]) -> list[Mention]:
    first = first_measure(measures)
    return [m for m in measures if m is not first and m.columns and not is_measured(m)]


def drivers_intent(reading: Reading) -> Intent:
    """ "How do A and B drive C?", "What drives C?", "effect of A on C", "How does C depend on A?" """
    text = reading.normalised
    found = REVERSED.search(text)
    verb = found or OF_ON.search(text) or DRIVERS.search(text)
    end = verb.end() if verb else 0
    if found is not None:
        before = [m for m in reading.mentions if reading.words[m.first].start < found.start()]
    else:
        before = [m for m in reading.mentions if reading.words[m.first].start < end]
    after = [m for m in reading.mentions if m not in before]
    causes, outcomes = (after, before) if found is not None else (before, after)
    if not outcomes:  # "which factors matter for C", "why is C so high"
        causes, outcomes = outcomes, causes
    target = next((m for m in outcomes if is_measured(m)), None) or next(
        (m for m in outcomes if m.columns), None
    )
    rest = tuple(m for m in (*causes, *outcomes) if m is not target)
    return Intent("drivers", target, rest)


def top_intent(
    reading: Reading, grouped: list[Mention], statistic: Statistic | None, top: int | None, low: bool
) -> Intent:
    """ "top 5 X by Y", "X with the highest Y", "which X has the most flights": Y is what can be measured."""
    measure = next((m for m in grouped if is_measured(m)), None) or first_measure(list(reading.mentions))
    groups = tuple(m for m in reading.mentions if m is not measure and not is_measured(m))
    if measure is None and not any(m.columns or m.calendar for m in groups):
        tables = tuple(m for m in reading.mentions if m.table)
        return Intent("overview" if not tables else "count", None, tables, "count", top, low)
    if measure is None:
        return Intent("count", None, groups, "count", top or 10, low)
    return Intent("top", measure, groups, statistic, top or (10 if not groups else None) or 10, low)


def grouped_mentions(reading: Reading) -> list[Mention]:
    """What follows "by", "per", "for each"; and what "and" adds to it."""
    text, found = reading.normalised, []
    for match in GROUPING.finditer(text):
        stop = next((m.start() for m in GROUPING.finditer(text, match.end())), len(text))
        span = [m for m in reading.mentions if match.end() <= reading.words[m.first].start < stop]
        for i, mention in enumerate(span):
            between = (
                text[reading.words[span[i - 1].first].start : reading.words[mention.first].start] if i else ""
            )
            if i and not re.search(r"\band\b|,|&", between):
                break
            found.append(mention)
    adverbs = [m for m in reading.mentions if m.calendar and m not in found]
    return found + adverbs


def is_measured(mention: Mention) -> bool:
    return any(c.is_measure for c in mention.columns) and mention.table is None


def may_be_time(mention: Mention) -> bool:
    return mention.calendar is not None or any(c.kind in ("date", "calendar") for c in mention.columns)


def first_measure(mentions: list[Mention]) -> Mention | None:
    numbers = [m for m in mentions if any(c.kind == "number" for c in m.columns) and m.table is None]
    return next(iter(numbers), None) or next((m for m in mentions if is_measured(m)), None)


def top_of(reading: Reading) -> int | None:
    for match in re.finditer(
        r"\b(?:top|bottom|first|best|worst|highest|lowest|largest|smallest)\s+(\w+)", reading.normalised
    ):
        word = match.group(1)
        if word.isdecimal() and 0 < int(word) <= 1000:
            return int(word)
        if word in NUMBER_WORDS:
            return NUMBER_WORDS[word]
    return None


def is_additive(column: Column) -> bool:
    """Whether adding up makes sense where the question does not say how: money and quantities, not rates."""
    return bool(ADDITIVE.search(column.name.replace("_", " "))) and not re.search(
        r"avg|average|mean|rate|per|price", column.name, re.I
    )
