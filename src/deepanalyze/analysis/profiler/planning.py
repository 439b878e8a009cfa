"""From a question to a plan."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from deepanalyze.analysis.profiler.conditions import Condition, conditions_of, unplaced
from deepanalyze.analysis.profiler.facts import GROUPINGS, Column, Data, Table
from deepanalyze.analysis.profiler.intents import Intent, Kind, Statistic, intent_of, is_additive
from deepanalyze.analysis.profiler.mentions import Mention, Reading, read_question
from deepanalyze.analysis.profiler.plan import Field, Frame, Plan
from deepanalyze.analysis.profiler.words import closeness, name_words

JUDGED = re.compile(r"\b(?:best|worst)\b")
NOT_JUDGED = (
    "The question does not say by which measure to judge, so rows were counted; "
    "ask, for example, for the highest average of a column."
)
CELLS = 20_000_000  # values to compare before it takes too long


def plan_for(question: str, data: Data) -> Plan:
    reading = read_question(question, data)
    intent = intent_of(reading)
    base = base_for(intent, reading, data)
    frame = Frame(base, data)
    notes = [*choice_notes(intent, base, data)]
    conditions = conditions_for(reading, frame, notes)
    plan = Plan(
        intent.kind,
        base,
        conditions=conditions,
        top=intent.top,
        ascending=intent.ascending,
        distinct=intent.distinct,
    )
    target = frame.of(intent.target) if intent.target else None
    if intent.kind == "drivers":
        plan = drivers_plan(plan, intent, frame, target, notes)
    else:
        plan = grouped_plan(plan, intent, reading, frame, target, notes)
    label_of, label = label_for(plan, frame)
    if plan.kind == "count" and plan.target is None and JUDGED.search(reading.normalised):
        notes.append(NOT_JUDGED)
    missing = unreachable(intent, frame)
    if missing:
        notes.append(f"No key links {', '.join(missing)} to {base.name}, so those columns were left out.")
    named = {w for c in conditions for w in str(c.words).lower().split()}
    unknown = tuple(w for w in reading.strangers if w not in named)
    return replace(
        plan, joins=frame.made_joins(), label=label, label_of=label_of, notes=tuple(notes), unknown=unknown
    )


def base_for(intent: Intent, reading: Reading, data: Data) -> Table:
    """The table that has the target (the most complete one where several do) and reaches most of the rest."""
    asked = [m for m in (intent.target, *intent.others) if m]
    options = [c.table for c in intent.target.columns] if intent.target else []
    if not options:
        options = (
            [m.table.name for m in reading.mentions if m.table]
            or [c.table for m in asked for c in m.columns]
            or list(data.tables)
        )
        if intent.kind == "count" and not any(m.table for m in reading.mentions):
            options += [li.many for li in data.links if li.one in options]

    def worth(name: str) -> tuple[int, bool, int]:
        frame = Frame(data.tables[name], data)
        reached = sum(
            any(frame.reaches(c.table) for c in m.columns)
            or (m.table is not None and frame.reaches(m.table.name))
            for m in asked
        )
        return (reached, not data.tables[name].truncated, data.tables[name].rows)

    return data.tables[max(options, key=worth)]


def choice_notes(intent: Intent, base: Table, data: Data) -> Iterable[str]:
    """Says which table was used where another one seems to hold the same thing."""
    columns = intent.target.columns if intent.target else ()
    words = {w for c in columns[:1] for w in name_words(c.name)}
    same = [
        c
        for c in data.columns
        if c.table != base.name and c.is_measure and words and words <= set(name_words(c.name))
    ]
    others = sorted({c.table for c in columns if c.table != base.name} | {c.table for c in same})
    if others and columns:
        rivals = ", ".join(f"{name} ({data.tables[name].rows:,} rows)" for name in others)
        why = (
            "the more complete one"
            if all(data.tables[n].rows <= base.rows for n in others)
            else "the one that fits the question"
        )
        yield f"The numbers are computed from {base.name} ({base.rows:,} rows), {why}, not from {rivals}."
    names = sorted({c.name for c in columns if c.table == base.name})
    if len(names) > 1:
        yield f"The question fits {' and '.join(names[:4])}; {columns_first(intent, base)} was taken."


def columns_first(intent: Intent, base: Table) -> str:
    return next(c.name for c in (intent.target.columns if intent.target else ()) if c.table == base.name)


def conditions_for(reading: Reading, frame: Frame, notes: list[str]) -> tuple[Condition, ...]:
    reachable = [
        frame.base.name,
        *(n for n in frame.data.tables if n != frame.base.name and frame.reaches(n)),
    ]
    found = []
    for condition in conditions_of(reading, frame.data, reachable):
        place = frame.field(condition.column)
        if place:
            found.append(replace(condition, column=replace(condition.column, name=place.name)))
    notes += [
        f"The condition “{words}” fits no column and was left out."
        for words in unplaced(reading, frame.data, reachable)
    ]
    return tuple(found)


def drivers_plan(plan: Plan, intent: Intent, frame: Frame, target: Field | None, notes: list[str]) -> Plan:
    if target is None:
        return replace(plan, kind="overview")
    fields: list[Field] = []
    blocks: dict[str, list[str]] = {}
    for mention in intent.others:
        columns = members(mention, frame) if mention.table else []
        found = [
            one
            for one in ([frame.field(c) for c in columns] or [frame.of(mention)])
            if one and one.name != target.name
        ]
        fields += [one for one in found if one not in fields]
        if mention.table and len(found) > 1:
            blocks[f"all of {mention.table.name}"] = [one.name for one in found]
    most = max(60, CELLS // max(1, frame.base.rows))
    if not fields:
        others = [c for c in frame.base.columns if c.name != target.name and suits_as_driver(c, frame.base)]
        fields = [Field(c.name, c) for c in others]
        every = len(fields) + frame.base.left_out <= most
        what = "every usable column was" if every else f"the first {most} usable columns were"
        notes.append(f"The question names no drivers, so {what} tried.")
        plan = replace(plan, every_column=frame.base.left_out > 0)
    controls = [
        c
        for c in (frame.calendar("hour"), frame.calendar("month"))
        if c and c.name not in {f.name for f in fields}
    ]
    controls = [
        c for c in controls if c.column.distinct > 1 and not (c.part == "hour" and dates_only(c.column))
    ]
    return replace(
        plan,
        target=target,
        drivers=tuple(fields[:most]),
        controls=tuple(controls),
        blocks=blocks,
    )


def dates_only(column: Column) -> bool:
    return str(column.low).endswith("00:00:00") and str(column.high).endswith("00:00:00")


def members(mention: Mention, frame: Frame) -> list[Column]:
    """What of a table (or topic) may drive something: its measures and small categories, not its keys."""
    assert mention.table is not None
    if mention.table.name == frame.base.name and not mention.columns:
        return []
    link = frame.link_to(mention.table.name)
    keys = {b for _, b in link.on} if link else set()
    columns = mention.columns or mention.table.columns
    return [
        c
        for c in columns
        if c.name not in keys and suits_as_driver(c, mention.table) and c.kind != "calendar"
    ]


def suits_as_driver(column: Column, table: Table) -> bool:
    if column.name == "source_file":
        return False
    if column.kind == "category":
        return 2 <= column.distinct <= max(2, min(200, table.rows // 5))
    return (
        column.kind in ("number", "boolean", "calendar")
        and column.distinct > 1
        and column.missing < 0.9 * table.rows
    )


def grouped_plan(
    plan: Plan, intent: Intent, reading: Reading, frame: Frame, target: Field | None, notes: list[str]
) -> Plan:
    kind, statistic = intent.kind, intent.statistic
    if kind == "overview":
        return plan
    if target and not target.column.is_measure and kind != "relation":
        intent, target = (
            replace(intent, target=None, others=(*intent.others, *filter(None, [intent.target]))),
            None,
        )
    groups = [g for g in (frame.of(m) for m in intent.others) if g and g != target]
    if kind == "count" and target:
        if any(c.column.name == target.name for c in plan.conditions) or (
            intent.others and not numbers_of(reading)
        ):
            target = None
        elif target.column.kind == "number":
            kind, statistic = "aggregate", "sum"
        elif target.column.kind == "boolean":
            plan, target = (
                replace(plan, conditions=(*plan.conditions, Condition(target.column, "==", True))),
                None,
            )
    if kind == "relation":
        return relation_plan(plan, target, groups, statistic)
    if target is None and statistic in (None, "mean", "median", "sum", "min", "max") and kind != "count":
        if reading.strangers and statistic:
            return replace(plan, kind="overview")
        statistic = "count"
    if (
        kind == "aggregate"
        and target
        and len(groups) == 1
        and groups[0].column.kind == "number"
        and groups[0].column.distinct > 50
    ):
        return replace(plan, kind="relation", target=target, groups=tuple(groups))
    if kind == "trend" and not (date := time_field(frame, groups)):
        kind = "aggregate"
    elif kind == "trend":
        rest = tuple(g for g in groups if g.column.kind in ("category", "boolean"))[:1]
        return replace(
            plan,
            kind=kind,
            target=target,
            groups=rest,
            date=date,
            statistic=statistic or default_statistic(target),
        )
    if kind == "top" and not groups and (own := self_key(frame.base)):
        groups = [own]
    groups = [
        g for g in groups if g.column.kind in GROUPINGS or g.part or g.column.kind in ("number", "date")
    ][:2]
    return replace(
        plan,
        kind=kind,
        target=target,
        groups=tuple(groups),
        statistic=statistic or default_statistic(target, kind),
    )


def self_key(base: Table) -> Field | None:
    """ "top 5 orders by revenue": every row is its own group, under its most telling name."""
    unique = [
        c for c in base.columns if c.kind in ("id", "text", "category") and c.distinct >= 0.9 * base.rows
    ]
    named = next((c for c in unique if is_label(c)), unique[0] if unique else None)
    return Field(named.name, named) if named else None


def numbers_of(reading: Reading) -> bool:
    """ "number of seats", "how many units": the words stand right before the column."""
    return "number of" in reading.normalised or "how many" in reading.normalised


def default_statistic(target: Field | None, kind: Kind = "trend") -> Statistic:
    if target is None:
        return "count"
    return "sum" if is_additive(target.column) and target.column.kind == "number" else "mean"


def relation_plan(
    plan: Plan, target: Field | None, groups: Sequence[Field], statistic: Statistic | None
) -> Plan:
    """Of two columns the one that can be measured is the target; two measures make a scatter."""
    if target is not None and not groups and not target.column.is_measure:
        return replace(plan, kind="count", groups=(target,), statistic="count")
    if target is None or not groups:
        return replace(
            plan,
            kind="aggregate" if target else "overview",
            target=target,
            groups=tuple(groups),
            statistic="mean",
        )
    if not target.column.is_measure and groups[0].column.is_measure:
        target, groups = groups[0], [target]
    if target.column.kind == "number" and groups[0].column.kind == "number":
        return replace(plan, target=target, groups=(groups[0],))
    if target.column.is_measure:
        return replace(
            plan, kind="aggregate", target=target, groups=tuple(groups[:2]), statistic=statistic or "mean"
        )
    return replace(plan, kind="count", groups=(target, groups[0]), statistic="count")


def time_field(frame: Frame, groups: Sequence[Field]) -> Field | None:
    named = next((g for g in groups if g.column.kind == "date" and not g.part), None)
    dates = frame.base.of_kind("date")
    return named or (Field(dates[0].name, dates[0]) if dates else None)


def label_for(plan: Plan, frame: Frame) -> tuple[str | None, Field | None]:
    """The first group or driver that is a code which another small table gives a name for."""
    for one in (*plan.groups, *plan.drivers):
        if one.column.kind not in ("category", "id") or one.column.table != frame.base.name:
            continue
        for link in sorted(frame.data.links, key=lambda li: frame.data.tables[li.one].rows):
            if (
                link.many == frame.base.name
                and len(link.on) == 1
                and link.on[0][0] == one.name
                and link.repeated == 0
            ):
                table = frame.data.tables[link.one]
                name = name_in(table, link.on[0][1])
                found = frame.field(name) if name and table.rows <= 20_000 else None
                if found and found.name not in {g.name for g in (*plan.groups, *plan.drivers)}:
                    return one.name, found
    return None, None


def name_in(table: Table, key: str) -> Column | None:
    """What a look-up table calls the rows of its key."""
    texts = [c for c in table.columns if c.kind in ("category", "text", "id") and c.name != key]
    named = next((c for c in texts if is_label(c)), None)
    same = [
        c for c in texts if c.kind != "id" and c.distinct == table.rows - c.missing > 1 and alike(c.name, key)
    ]
    return named or next(iter(same), None)


def alike(name: str, key: str) -> bool:
    """`airline` beside `carrier`: two words for one thing."""
    return any(closeness(a, b) >= 0.8 for a in name_words(name) for b in name_words(key))


def is_label(column: Column) -> bool:
    return name_words(column.name)[-1:] in (("name",), ("title",), ("label",), ("description",))


def unreachable(intent: Intent, frame: Frame) -> list[str]:
    missing = []
    for mention in intent.others:
        tables = {c.table for c in mention.columns} | ({mention.table.name} if mention.table else set())
        if tables and not any(frame.reaches(t) for t in tables):
            missing.append(mention.columns[0].name if mention.columns else next(iter(tables)))
    return missing
