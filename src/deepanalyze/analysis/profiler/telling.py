"""The findings of every kind of study but drivers, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepanalyze.analysis.profiler import telling_drivers
from deepanalyze.analysis.profiler.findings import Findings, condition_words, unit_of, with_unit
from deepanalyze.analysis.profiler.plan import Plan
from deepanalyze.analysis.profiler.prose import (
    fixed,
    listed,
    number,
    percent,
    rows,
    safe,
    several,
    spoken,
    table,
)
from deepanalyze.analysis.profiler.state import State

NAMES = {
    "mean": "average",
    "median": "median",
    "sum": "total",
    "min": "minimum",
    "max": "maximum",
    "count": "number of rows",
}
SHOWN = 40


def findings_of(state: State) -> Findings:
    plan = state.plan
    study = state.results.get("survey") or state.results.get("study")
    if plan is None or study is None:
        return Findings(
            "The study of the question did not succeed, so only the description of the data below is certain."
        )
    if "survey" in state.results or plan.kind == "overview":
        return tell_overview(state, plan, study)
    if plan.kind == "drivers":
        return telling_drivers.tell(plan, study)
    if plan.kind == "trend":
        return tell_trend(plan, study)
    if plan.kind == "relation":
        return tell_relation(plan, study)
    return tell_groups(plan, study) if plan.groups else tell_total(plan, study)


def measure_name(plan: Plan) -> str:
    if plan.target is None or plan.statistic == "count":
        return "number of rows"
    if plan.target.column.kind == "boolean" and plan.statistic == "mean":
        return f"share of {spoken(plan.target.name)}"
    return f"{NAMES[plan.statistic]} {spoken(plan.target.name)}"


def value_text(plan: Plan, value: float | None) -> str:
    if plan.target is None or plan.statistic == "count":
        return number(value)
    if plan.target.column.kind == "boolean" and plan.statistic == "mean":
        return percent(value)
    whole = plan.statistic not in ("mean", "median") and value is not None and float(value).is_integer()
    return with_unit(number(value) if whole else fixed(value), plan.target)


def tell_total(plan: Plan, study: Mapping[str, Any]) -> Findings:
    overall = study["overall"]
    if plan.target is None:
        of = (
            f" (of {rows(plan.base.rows)} in all, {percent(overall['n'] / plan.base.rows)})"
            if plan.conditions and plan.base.rows
            else ""
        )
        return Findings(f"{spoken(plan.base.name)} has **{rows(overall['n'])}**{condition_words(plan)}{of}.")
    if not overall["n"]:
        return Findings(f"No row{condition_words(plan)} has a value in {spoken(plan.target.name)}.")
    text = (
        f"The {measure_name(plan)}{condition_words(plan)} is **{value_text(plan, overall['value'])}**, "
        f"over {several(overall['n'], 'value')}."
    )
    missing = f" {rows(overall['missing'])} have no value and do not count." if overall["missing"] else ""
    spread = (
        f"Median {number(overall['median'])}, from {number(overall['min'])} to {number(overall['max'])}, "
        f"standard deviation {fixed(overall['sd'])}."
    )
    return Findings(text + missing, (spread,), (lines_table(study, "measure"),))


def tell_groups(plan: Plan, study: Mapping[str, Any]) -> Findings:
    columns, lines = study["columns"], study["rows"]
    if not lines:
        return Findings(f"There are no rows{condition_words(plan)} to compare.")
    column = "n" if plan.target is None else plan.statistic
    at = columns.index(column) + 1
    groups = " and ".join(spoken(g.name) for g in plan.groups)
    first = max(lines, key=lambda line: line[at] if line[at] is not None else float("-inf"))
    last = min([*lines, *study["last"]], key=lambda line: line[at] if line[at] is not None else float("inf"))
    n_at = columns.index("n") + 1
    if plan.kind == "top" or plan.top:
        ends = "lowest" if plan.ascending else "highest"
        ranked = listed([f"{safe(line[0])} ({value_text(plan, line[at])})" for line in lines[:5]], 5)
        headline = (
            f"The {ends} {measure_name(plan)} by {groups}{condition_words(plan)}: **{ranked}**"
            f"{', and so on' if len(lines) > 5 else ''}. There are {study['groups']:,} groups in all."
        )
    else:
        headline = (
            f"The {measure_name(plan)} by {groups}{condition_words(plan)} runs from "
            f"**{value_text(plan, last[at])}** for {safe(last[0])} to "
            f"**{value_text(plan, first[at])}** for {safe(first[0])}, over {several(study['groups'], 'group')}."
        )
    if plan.distinct:
        headline = (
            f"There are **{study['groups']:,}** different values of {groups}{condition_words(plan)} "
            f"in {spoken(plan.base.name)}."
        )
    overall = study["overall"]
    points = [f"Over all rows it is {value_text(plan, overall['value'])} (n = {overall['n']:,})."]
    if plan.target is None:
        points = [f"{rows(overall['n'])} in all."]
    if overall.get("missing"):
        points.append(
            f"{rows(overall['missing'])} have no {spoken(plan.target.name) if plan.target else 'value'} and "
            "do not count."
        )
    small = [line for line in lines if line[n_at] is not None and line[n_at] < 30]
    if small and plan.target is not None:
        points.append(
            f"Few rows stand behind {listed([safe(line[0]) for line in small], 4)} (fewer than 30 each), so "
            "those numbers are shaky."
        )
    return Findings(headline, tuple(points), (lines_table(study, groups),))


def lines_table(study: Mapping[str, Any], head: str) -> str:
    names = {"ci95": "± 95 %", "sum": "total"}
    shown = [
        [safe(label), *(cell(column, value) for column, value in zip(study["columns"], values, strict=True))]
        for label, *values in study["rows"][:SHOWN]
    ]
    left = study["groups"] - len(shown)
    text = table(
        [head, *(names.get(c, c) for c in study["columns"])], shown, right=range(1, len(study["columns"]) + 1)
    )
    return text + (f"\n\n*{several(left, 'more group')} not shown.*" if left > 0 else "")


def cell(column: str, value: float | None) -> str:
    if column == "share":
        return percent(value)
    return fixed(value) if column in ("mean", "ci95") else number(value)


def tell_trend(plan: Plan, study: Mapping[str, Any]) -> Findings:
    lines = study["rows"]
    if not lines:
        return Findings(
            f"No row{condition_words(plan)} has both a date and a value, so there is nothing to follow over time."
        )
    first, last, high, low = lines[0], lines[-1], study["high"], study["low"]
    headline = (
        f"The {measure_name(plan)} per {study['by']}{condition_words(plan)} goes from "
        f"{value_text(plan, first[1])} ({first[0]}) to "
        f"{value_text(plan, last[1])} ({last[0]}). It is highest in **{high[0]}** "
        f"({value_text(plan, high[1])}) and lowest in **{low[0]}** ({value_text(plan, low[1])})."
    )
    points = []
    if study["slope"] is not None and study["count"] >= 4:
        steady = (
            "no steady trend"
            if abs(study["r"]) < 0.4
            else f"a {'rising' if study['slope'] > 0 else 'falling'} trend"
        )
        points.append(
            f"A straight line through the {study['count']} {study['by']}s shows {steady}: "
            f"{fixed(study['slope'])} a {study['by']} (r = {fixed(study['r'])})."
        )
    points.append(f"{rows(study['n'])} went into it. The first and the last {study['by']} may be incomplete.")
    counted = plan.target is None or plan.statistic == "count"
    head = [study["by"], "rows"] if counted else [study["by"], "rows", measure_name(plan)]
    body = [[safe(when), f"{n:,}", value_text(plan, value)][: len(head)] for when, value, n in lines[:SHOWN]]
    return Findings(headline, tuple(points), (table(head, body, right=(1, 2)),))


def tell_relation(plan: Plan, study: Mapping[str, Any]) -> Findings:
    assert plan.target is not None
    x, y, r = spoken(plan.groups[0].name), spoken(plan.target.name), study["r"]
    if r is None:
        return Findings(
            f"{x} and {y} have too few pairs of different values ({study['n']:,}) to say how they go together."
        )
    size = abs(r)
    word = (
        "hardly any"
        if size < 0.1
        else "a weak"
        if size < 0.3
        else "a moderate"
        if size < 0.6
        else "a strong"
        if size < 0.9
        else "a very strong"
    )
    way = "" if size < 0.1 else " positive" if r > 0 else " negative"
    headline = f"There is {word}{way} relationship between {x} and {y}: correlation **r = {r:.3f}**".replace(
        "-", "−"
    )
    headline += (
        f" over {study['n']:,} pairs of values{condition_words(plan)}; {x} explains {percent(r * r)} "
        f"of the variance of {y}."
    )
    points = [
        f"On average, one more of {x} goes with {with_unit(number(study['slope'], 3), plan.target)} of {y} "
        f"(straight line: {y} = {number(study['intercept'], 3)} + {number(study['slope'], 3)} × {x}).",
        f"The rank correlation, which does not mind outliers and bends, is {study['rank']:.3f}.".replace(
            "-", "−"
        ),
    ]
    body = [[safe(label), f"{n:,}", fixed(mean)] for label, n, mean in study["bins"]]
    return Findings(
        headline,
        tuple(points),
        (table([x, "n", f"mean {y}"], body, right=(1, 2)),),
        ("Correlation is association in these data, not proof of a cause.",),
    )


def tell_overview(state: State, plan: Plan, study: Mapping[str, Any]) -> Findings:
    tables = state.data.tables.values()
    told = [
        f"{spoken(t.name)} ({rows(t.rows)}, {several(len(t.columns) + t.left_out, 'column')})" for t in tables
    ]
    headline = f"The data: {listed(told)}."
    if study["cells"]:
        largest = f"{spoken(plan.base.name)}{', the largest' if len(tables) > 1 else ''}"
        gaps = percent(study["missing"] / study["cells"]) if study["missing"] else "none"
        headline += f" Of the cells of {largest}, {gaps} {'are' if study['missing'] else 'is'} empty."
    points = []
    for a, b, r in plan.base.correlations[:4]:
        if abs(r) >= 0.3:
            points.append(
                f"{spoken(a)} and {spoken(b)} move {'together' if r > 0 else 'against each other'} (r = {fixed(r)})."
            )
    for name, counts in list(study["categories"].items())[:4]:
        if counts:
            points.append(
                f"{spoken(name)}: most often {listed([f'{safe(v, 40)} ({n:,})' for v, n in counts[:3]])}."
            )
    far = [
        f"{spoken(c.name)} ({c.far:,})" for c in sorted(plan.base.columns, key=lambda c: -c.far)[:4] if c.far
    ]
    if far:
        points.append(f"Values far outside the usual range: {listed(far)}.")
    lines = [
        [spoken(name), f"{int(v[0]):,}", *(number(x) for x in v[1:])]
        for name, v in study["numbers"].items()
        if len(v) == 8
    ]
    made = (
        (
            table(
                ["column", "n", "mean", "sd", "min", "5 %", "median", "95 %", "max"], lines, right=range(1, 9)
            ),
        )
        if lines
        else ()
    )
    return Findings(headline, tuple(points), made)


def axis_name(plan: Plan) -> str:
    """What a chart's axis shows, with its unit."""
    if plan.target is None or plan.statistic == "count":
        return "rows"
    unit = unit_of(plan.target.column)
    return f"{NAMES[plan.statistic]} {plan.target.name}" + (f" ({unit})" if unit else "")


def shown_rows(study: Mapping[str, Any]) -> Sequence[Any]:
    return list(study.get("rows", ()))
