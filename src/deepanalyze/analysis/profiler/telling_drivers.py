"""The findings on what drives something, in words."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

from deepanalyze.analysis.profiler.findings import Findings, condition_words, unit_of, with_unit
from deepanalyze.analysis.profiler.plan import Field, Plan
from deepanalyze.analysis.profiler.prose import fixed, listed, number, percent, safe, several, spoken, table

SMALL = 0.001  # share of variance below which a driver is not worth a sentence
Level = Sequence[Any]  # label, n, mean, ci95, adjusted


def tell(plan: Plan, study: Mapping[str, Any]) -> Findings:
    assert plan.target is not None
    drivers: Mapping[str, Any] = study["drivers"]
    if study["n"] < 5 or not drivers:
        return Findings(
            f"There are only {several(study['n'], 'usable row')} with {spoken(plan.target.name)}, too few to "
            "say what drives it."
        )
    used = [name for name in study["used"] if drivers[name]["alone"] >= SMALL and drivers[name]["p"] < 0.05]
    inside = {name for names in plan.blocks.values() for name in names}
    ordered = [name for name in used if name not in inside] + [name for name in used if name in inside]
    points = [
        *block_points(plan, study),
        *(driver_point(name, drivers[name], plan, study) for name in ordered[:7]),
    ]
    points += [*control_points(plan, study), *weak_points(study, ordered[:7]), *twin_points(study)]
    tables = [summary_table(study), *level_tables(plan, study, used)]
    return Findings(headline(plan, study, used), tuple(points), tuple(tables), caveats(plan, study))


def headline(plan: Plan, study: Mapping[str, Any], used: Sequence[str]) -> str:
    """What explains how much, then how far it moves the target, then what is typical."""
    assert plan.target is not None
    if not used:
        none = (
            f"None of the drivers that were tried explains a noticeable part of {spoken(plan.target.name)}."
        )
        return f"{none} {typical(plan, study)}"
    shares = [
        (f"{block_name(block)} ({several(len(plan.blocks[block]), 'column')})", facts["alone"])
        for block, facts in study["blocks"].items()
    ]
    inside = {name for block in study["blocks"] for name in plan.blocks[block]}
    shares += [
        (f"**{spoken(name)}**", study["drivers"][name]["alone"]) for name in used if name not in inside
    ]
    shares = sorted(shares, key=lambda share: -share[1])[:6]
    (first, most), rest = shares[0], shares[1:]
    lead = f"{first} explains **{percent(most)}** of the variance of {spoken(plan.target.name)} between single rows"
    others = listed([f"{name} **{percent(share)}**" for name, share in rest])
    sentences = [
        f"{capital(lead)}{', ' if others else ''}{others}{', each taken alone' if others else ''}.",
        together(plan, study),
        swings(plan, study, used, inside),
        typical(plan, study),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def block_name(block: str) -> str:
    """ "all of weather" is what charts call it."""
    return f"**{safe(block.removeprefix('all of '))}** as a whole"


def capital(sentence: str) -> str:
    return re.sub(r"^\*\*[a-z]", lambda start: start[0].upper(), sentence)


def typical(plan: Plan, study: Mapping[str, Any]) -> str:
    target, event = plan.target, study["event"]
    assert target is not None
    over = f"{study['n']:,} rows{condition_words(plan)}"
    if event or target.column.kind == "boolean":
        value = f"is “{safe(event)}”" if event else "is true"
        return f"{spoken(target.name)} {value} in {percent(study['mean'])} of {over}."
    return (
        f"{spoken(target.name)} averages **{with_unit(fixed(study['mean']), target)}** over {over} "
        f"(median {number(study['median'])}, standard deviation {fixed(study['sd'])})."
    )


def swings(plan: Plan, study: Mapping[str, Any], used: Sequence[str], inside: Container[str]) -> str:
    """How far the mean runs: for what was named alone, then for the widest of those that were named together."""
    wide = sorted((name for name in used if name in inside), key=lambda name: -span_of(study, name))
    names = [*[name for name in used if name not in inside][:2], *wide[:3]]
    told_spans = []
    for name in names:
        levels = solid_levels(study["drivers"][name], study["n"])
        if len(levels) < 2:
            continue
        low, high = min(levels, key=mean_of), max(levels, key=mean_of)
        word = "at" if study["drivers"][name]["numeric"] else "for"
        told_spans.append(
            f"by {spoken(name)} from {fixed(low[2])} {word} {safe(low[0])} "
            f"up to {fixed(high[2])} {word} {safe(high[0])}"
        )
    if not told_spans:
        return ""
    unit = unit_of(plan.target.column) if plan.target else ""
    return f"The mean{f' (in {unit})' if unit else ''} runs {'; '.join(told_spans)}."


def span_of(study: Mapping[str, Any], name: str) -> float:
    means = [mean_of(level) for level in solid_levels(study["drivers"][name], study["n"])]
    return max(means) - min(means)


def solid_levels(driver: Mapping[str, Any], n: int) -> Sequence[Level]:
    """Those with rows enough to speak of; all where none has."""
    least = max(5, min(30, n // 50))
    return [level for level in driver["levels"] if level[1] >= least and level[0] != "(other)"] or driver[
        "levels"
    ]


def together(plan: Plan, study: Mapping[str, Any]) -> str:
    controls = [spoken(name) for name in study["controls"]]
    if len(study["used"]) == 1:
        return (
            f"Together with {listed(controls)} it explains **{percent(study['r2'])}**; the rest is not in "
            "these columns."
        )
    if not controls and study["r2"] < 1.01 * max(study["drivers"][name]["alone"] for name in study["used"]):
        return "The other columns add nothing to that."
    also = f" with {listed(controls)} as background" if controls else ""
    if len(study["used"]) + len(controls) == 1:
        return (
            "" if study["r2"] >= 0.5 else "Most of what makes one row differ from the next is something else."
        )
    rest = (
        "so most of what makes one row differ from the next is not in these columns"
        if study["r2"] < 0.5
        else "so they account for most of it"
    )
    return f"All of them together{also} explain **{percent(study['r2'])}**, {rest}."


def driver_point(name: str, driver: Mapping[str, Any], plan: Plan, study: Mapping[str, Any]) -> str:
    levels = solid_levels(driver, study["n"])
    effect = f"explains {percent(driver['alone'])} alone and {percent(driver['adds'])} beyond all the others"
    if not driver["numeric"]:
        found = [
            f"**{spoken(name)}** {effect}.",
            extremes(levels, plan.target),
            adjusted_gap(levels, plan, study),
        ]
        return " ".join(part for part in found if part)
    high, low = max(levels, key=mean_of), min(levels, key=mean_of)
    slope = f"; linear correlation r = {fixed(driver['r'])}" if driver["r"] is not None else ""
    return (
        f"**{spoken(name)}** {effect}{slope}. The mean is highest, {told(high, plan.target)}, at "
        f"{safe(high[0])}, and lowest, "
        f"{told(low, plan.target)}, at {safe(low[0])}."
    )


def mean_of(level: Level) -> float:
    return float(level[2])


def told(level: Level, target: Field | None) -> str:
    spread = f" ± {fixed(level[3])}" if level[3] is not None else ""
    return f"{with_unit(fixed(level[2]) + spread, target)} (n = {int(level[1]):,})"


def extremes(levels: Sequence[Level], target: Field | None) -> str:
    ranked = sorted(levels, key=mean_of, reverse=True)
    if len(ranked) < 2:
        return ""
    some = min(3, len(ranked) // 2)
    worst = listed([f"{safe(level[0])} {told(level, target)}" for level in ranked[:some]])
    best = listed([f"{safe(level[0])} {told(level, target)}" for level in reversed(ranked[-some:])])
    return f"Highest mean: {worst}. Lowest: {best}."


def adjusted_gap(levels: Sequence[Level], plan: Plan, study: Mapping[str, Any]) -> str:
    """What becomes of the distance between the extremes when everything else is held equal."""
    means = [(mean_of(level), float(level[4])) for level in levels if level[4] is not None]
    if len(means) < 2 or len(study["used"]) + len(study["controls"]) < 2:
        return ""
    raw = max(m for m, _ in means) - min(m for m, _ in means)
    held = max(a for _, a in means) - min(a for _, a in means)
    change = "shrinks" if held < 0.9 * raw else "grows" if held > 1.1 * raw else "hardly changes"
    return (
        f"With the other drivers held at their average, the gap between the extremes {change} (from "
        f"{fixed(raw)} to {with_unit(fixed(held), plan.target)})."
    )


def block_points(plan: Plan, study: Mapping[str, Any]) -> list[str]:
    singles = [name for name in study["used"] if not any(name in names for names in plan.blocks.values())]
    versus = listed([f"{spoken(name)} {percent(study['drivers'][name]['adds'])}" for name in singles[:3]])
    against = f" (for comparison: {versus})" if versus else ""
    return [
        f"{capital(block_name(block))} explains {percent(shares['alone'])} alone and adds {percent(shares['adds'])} "
        f"beyond the rest{against}."
        for block, shares in study["blocks"].items()
    ]


def control_points(plan: Plan, study: Mapping[str, Any]) -> list[str]:
    found = []
    for name, facts in study["controls"].items():
        levels = [level for level in facts["levels"] if level[1] >= 30]
        if len(levels) < 2 or facts["alone"] < SMALL:
            continue
        high, low = max(levels, key=mean_of), min(levels, key=mean_of)
        found.append(
            f"{spoken(name)} explains {percent(facts['alone'])} alone, with means from "
            f"{told(low, plan.target)} at {safe(name)} {safe(low[0])} to "
            f"{told(high, plan.target)} at {safe(name)} {safe(high[0])}"
        )
    if not found:
        return []
    return [f"**Background**, which the model holds constant: {'; '.join(found)}."]


def weak_points(study: Mapping[str, Any], told: Sequence[str]) -> list[str]:
    weak = [
        f"{spoken(n)} ({percent(study['drivers'][n]['alone'], 2)})" for n in study["used"] if n not in told
    ]
    return [f"Weak, or without any effect (share of variance alone): {listed(weak, 12)}."] if weak else []


def twin_points(study: Mapping[str, Any]) -> list[str]:
    if not study["twins"]:
        return []
    names = listed([f"{spoken(n)} (r = {fixed(study['drivers'][n]['r'])})" for n in study["twins"]])
    return [
        "Left out of the model because it moves almost in step with the target, which makes it another "
        f"measure of the same thing: {names}."
    ]


def summary_table(study: Mapping[str, Any]) -> str:
    lines = []
    for name, facts in [*study["drivers"].items(), *study["controls"].items()]:
        levels = [mean_of(level) for level in facts["levels"] if level[1] >= 30] or [
            mean_of(level) for level in facts["levels"]
        ]
        role = (
            " (background)" if name in study["controls"] else " (left out)" if name in study["twins"] else ""
        )
        beyond = "–" if name in study["twins"] else percent(facts["adds"], 2)
        span = f"{fixed(min(levels))} to {fixed(max(levels))}" if levels else "–"
        lines.append(
            [
                f"{spoken(name)}{role}",
                percent(facts["alone"], 2),
                beyond,
                "–" if facts["r"] is None else fixed(facts["r"]),
                span,
            ]
        )
    head = ["driver", "explains alone", "adds beyond the others", "r", "means run from … to"]
    return table(head, lines, right=range(1, 5))


def level_tables(plan: Plan, study: Mapping[str, Any], used: Sequence[str]) -> list[str]:
    """All levels of the categories, since they are what people look up."""
    tables = []
    for name in [n for n in study["used"] if not study["drivers"][n]["numeric"]][:2]:
        unit = unit_of(plan.target.column) if plan.target else ""
        mean = f"mean ({unit})" if unit else "mean"
        lines = [
            [safe(label), f"{int(n):,}", fixed(m), "–" if ci is None else f"± {fixed(ci)}", fixed(adjusted)]
            for label, n, m, ci, adjusted in study["drivers"][name]["levels"]
        ]
        tables.append(
            table(
                [spoken(name), "n", mean, "95 % interval", "mean, others held equal"],
                lines,
                right=range(1, 5),
            )
        )
    return tables


def caveats(plan: Plan, study: Mapping[str, Any]) -> tuple[str, ...]:
    found = ["These are associations in the data at hand. They do not prove that one thing causes the other."]
    if study["r2"] < 0.5:
        found.append("Averages differ between groups much more reliably than single rows can be predicted.")
    return tuple(found)


__all__ = ["tell"]
