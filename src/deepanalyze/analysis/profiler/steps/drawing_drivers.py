"""Charts on what drives something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepanalyze.analysis.profiler.code import literal
from deepanalyze.analysis.profiler.findings import unit_of
from deepanalyze.analysis.profiler.plan import Plan

Chart = tuple[str, str, Sequence[str]]


def charts(plan: Plan, study: Mapping[str, Any]) -> list[Chart]:
    assert plan.target is not None
    used = list(study["used"])
    if not used:
        return []
    unit = unit_of(plan.target.column)
    target = plan.target.name if not study["event"] else f"share of {study['event']}"
    axis = f"mean {target}" + (f" ({unit})" if unit else "")
    drivers = study["drivers"]
    categories = [name for name in used if not drivers[name]["numeric"]][:1]
    numbers = [name for name in used if drivers[name]["numeric"]][:6]
    made: list[Chart] = [importance(plan, target)]
    made += [by_category(name, target, axis) for name in categories]
    made += [by_numbers(numbers, target, axis)] if numbers else []
    made += [by_control(name, target, axis) for name in list(study["controls"])[:1]]
    return made[:5]


def importance(plan: Plan, target: str) -> Chart:
    title = f"What explains {target}: share of its variance"
    body = [
        'shown = (parts * 100).sort_values("alone", ascending=False).head(14)',
        "figure, axis = plt.subplots(figsize=(9, 1.6 + 0.42 * len(shown)))",
        'for shift, column, colour, label in ((-0.2, "alone", BLUE, "alone"), (0.2, "beyond_the_others", '
        'RED, "beyond the others")):',
        "    axis.barh(np.arange(len(shown)) + shift, shown[column], height=0.38, color=colour, label=label)",
        "    for i, value in enumerate(shown[column]):",
        '        axis.text(value, i + shift, f" {value:.2f}", va="center", fontsize=7, color=GREY)',
        'axis.set_yticks(range(len(shown)), [short(name) + (" (background)" if name in controls else "") for '
        "name in shown.index])",
        "axis.invert_yaxis()",
        'axis.grid(axis="y", visible=False)',
        'axis.legend(frameon=False, loc="lower right")',
        f'titled(axis, {literal(title)}, "share of variance explained (%)")',
    ]
    return ("drivers", title, body)


def by_category(name: str, target: str, axis: str) -> Chart:
    title = f"{axis[0].upper()}{axis[1:]} by {name} (bars: 95 % confidence)"
    body = [
        f'shown = effects[{literal(name)}].sort_values("mean", ascending=False).head(25)',
        "figure, axis = plt.subplots(figsize=(9, 1.6 + 0.32 * len(shown)))",
        'bars(axis, shown, "mean", error="ci95", reference=y.mean())',
        f"titled(axis, {literal(title)}, {literal(axis)})",
    ]
    return ("by-category", title, body)


def by_numbers(names: Sequence[str], target: str, axis: str) -> Chart:
    title = f"{axis[0].upper()}{axis[1:]} over the range of each driver (bars: 95 % confidence)"
    body = [
        f"names = {literal(list(names))}",
        "wide, high = min(3, len(names)), -(-len(names) // 3)",
        "figure, axes = plt.subplots(high, wide, figsize=(4 * wide, 3.2 * high), sharey=True, squeeze=False)",
        "for axis, name in zip(axes.flat, names):",
        '    dots(axis, effects[name], f"{name} ({alone[name][0] * 100:.1f} % of variance)")',
        '    axis.axhline(y.mean(), color=RED, linewidth=1, linestyle="--")',
        "for axis in axes.flat[len(names):]:",
        "    axis.set_visible(False)",
        f"figure.supylabel({literal(axis)}, fontsize=10, color=GREY)",
        f'figure.suptitle({literal(title)}, fontweight="bold", fontsize=12)',
        "figure.tight_layout()",
    ]
    return ("by-number", title, body)


def by_control(name: str, target: str, axis: str) -> Chart:
    title = f"Background: {axis} by {name}"
    body = [
        "figure, axis = plt.subplots(figsize=(9, 4))",
        f'dots(axis, effects[{literal(name)}].query("n >= 5"), "")',
        'axis.axhline(y.mean(), color=RED, linewidth=1, linestyle="--")',
        f"titled(axis, {literal(title)}, {literal(name)}, {literal(axis)})",
    ]
    return ("background", title, body)
