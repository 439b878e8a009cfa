"""The code that brings the needed columns together in one frame, without ever multiplying rows."""

from __future__ import annotations

from collections.abc import Iterable

from deepanalyze.analysis.profiler.code import literal
from deepanalyze.analysis.profiler.conditions import Condition
from deepanalyze.analysis.profiler.plan import Field, Join, Plan

WEEKDAYS = '["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]'
PARTS = {
    "hour": ".dt.hour", "day": ".dt.day", "week": '.dt.strftime("%G-W%V")', "month": ".dt.month",
    "quarter": ".dt.quarter",
    "year": ".dt.year",
}  # fmt: skip


def frame_code(plan: Plan) -> list[str]:
    fields = [f for f in (plan.target, plan.date, *plan.groups, *plan.drivers, *plan.controls) if f]
    wanted = needed_columns(plan, fields)
    chosen = "" if plan.every_column else f"[{literal(wanted)}]"
    lines = [f"df = tables[{literal(plan.base.name)}]{chosen}.copy()", "joined = []"]
    for join in plan.joins:
        lines += join_code(join)
    lines += [f"df = df[{condition_code(c)}]" for c in plan.conditions]
    lines += [line for f in dict.fromkeys(fields) for line in part_code(f, plan)]
    if plan.label and plan.label_of:
        code, name = literal(plan.label_of), literal(plan.label.name)
        lines.append(f'named = df[{name}].astype(str) + " (" + df[{code}].astype(str) + ")"')
        lines.append(f"df[{code}] = named.where(df[{name}].notna() & df[{code}].notna(), df[{code}])")
    return lines


def needed_columns(plan: Plan, fields: Iterable[Field]) -> list[str]:
    own = plan.base.name
    names = {f.column.name for f in fields if f.column.table == own}
    names |= {c.column.name for c in plan.conditions if c.column.table == own}
    names |= {a for join in plan.joins for a, _ in join.link.on}
    names |= {c.name for c in date_columns(plan)}
    return [c.name for c in plan.base.columns if c.name in names] or [c.name for c in plan.base.columns[:1]]


def join_code(join: Join) -> list[str]:
    link = join.link
    keys, new_keys = [b for _, b in link.on], [a for a, _ in link.on]
    old, new = [c for c, _ in join.columns], [n for _, n in join.columns]
    extra = [c for c in old if c not in keys]
    names = new_keys + [n for c, n in join.columns if c in extra]
    lines = [
        f"lookup = tables[{literal(link.one)}][{literal(keys + extra)}].set_axis({literal(names)}, axis=1)"
    ]
    lines.append(f"lookup = lookup.dropna(subset={literal(new_keys)}).drop_duplicates({literal(new_keys)})")
    lines.append("rows = len(df)")
    lines.append(
        f'df = df.merge(lookup, how="left", on={literal(new_keys)}, validate="m:1", indicator="found")'
    )
    lines.append("assert len(df) == rows  # a look-up adds columns, never rows")
    lines.append(f'joined.append([{literal(link.one)}, int((df.pop("found") == "both").sum()), rows])')
    lines += [
        f"df[{literal(n)}] = df[{literal(a)}]"
        for (a, b) in link.on
        for c, n in zip(old, new, strict=True)
        if c == b
    ]
    return lines


def condition_code(condition: Condition) -> str:
    column = f"df[{literal(condition.column.name)}]"
    if condition.operator == "isin":
        return f"{column}.isin({literal(condition.value)})"
    if condition.operator in ("month", "year"):
        return f"{column}.dt.{condition.operator} == {int(str(condition.value))}"
    return f"{column} {condition.operator} {literal(condition.value)}"


def date_columns(plan: Plan) -> list[Field]:
    """Year, month and day in columns of their own are local and exact; a time stamp may be in another time zone."""
    fields = [f for f in (plan.date, *plan.groups, *plan.controls) if f]
    if not any(f.part or f is plan.date for f in fields):
        return []
    parts = [plan.base.column(name) for name in ("year", "month", "day")]
    return [Field(c.name, c) for c in parts if c is not None] if all(parts) else []


def part_code(field: Field, plan: Plan) -> list[str]:
    whole = date_columns(plan)
    if field is not plan.date and not field.part:
        return []
    source = f"df[{literal(field.column.name)}]"
    if whole and field.part != "hour":
        source = 'pd.to_datetime(df[["year", "month", "day"]], errors="coerce")'
    if field is plan.date:
        return [f"when = {source}"]
    name = f"df[{literal(field.name)}]"
    if field.part == "weekday":
        return [f"{name} = pd.Categorical(({source}).dt.day_name(), {WEEKDAYS}, ordered=True)"]
    return [f"{name} = {source}{PARTS[field.part or 'year']}"]
