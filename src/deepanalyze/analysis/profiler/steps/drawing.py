"""The round that draws: two to five charts that show what the study found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepanalyze.analysis.profiler.code import block, kit, literal
from deepanalyze.analysis.profiler.findings import unit_of
from deepanalyze.analysis.profiler.plan import Plan
from deepanalyze.analysis.profiler.prose import listed, spoken
from deepanalyze.analysis.profiler.state import State
from deepanalyze.analysis.profiler.steps import drawing_drivers
from deepanalyze.analysis.profiler.telling import axis_name, findings_of

SKIP_FAILED = "except (ValueError, TypeError, KeyError, IndexError, RuntimeError) as problem:"


def draw_text(state: State) -> str:
    plan = state.plan
    if state.failures.get("study"):
        return "That did not work on these data. I draw a general picture instead."
    first = findings_of(state).headline
    target = f" of {spoken(plan.target.name)}" if plan and plan.target else ""
    return f"{first}\n\nNow the charts{target}."


def draw_code(state: State) -> str:
    plan, study = state.plan, state.results.get("study")
    assert plan is not None
    if study is None or plan.kind == "overview":
        charts = survey_charts(plan)
    elif plan.kind == "drivers":
        charts = drawing_drivers.charts(plan, study)
    elif plan.kind == "trend":
        charts = trend_charts(plan, study)
    elif plan.kind == "relation":
        charts = relation_charts(plan)
    else:
        charts = group_charts(plan) if plan.groups else total_charts(plan)
    lines = [line for name, caption, body in charts for line in drawn(f"{state.prefix}{name}", caption, body)]
    return block(kit("drawing"), ["figures = []", *lines, 'show("draw", {"figures": figures})'])


def drawn(name: str, caption: str, body: Sequence[str]) -> list[str]:
    """One chart that may fail without taking the others along."""
    return [
        "try:",
        *(f"    {line}" for line in body),
        f"    figures.append([save(figure, {literal(name)}), {literal(caption)}])",
        SKIP_FAILED,
        f'    print("no chart {name}:", repr(problem)[:200])',
    ]


Chart = tuple[str, str, Sequence[str]]


def condition_title(plan: Plan) -> str:
    return f", where {listed([c.words for c in plan.conditions])}" if plan.conditions else ""


def group_charts(plan: Plan) -> list[Chart]:
    value = "n" if plan.target is None else str(plan.statistic)
    axis, first = axis_name(plan), plan.groups[0].name
    title = f"{axis[0].upper()}{axis[1:]} by {listed([g.name for g in plan.groups])}{condition_title(plan)}"
    error = '"ci95"' if value == "mean" else "None"
    part = f"table.head({plan.top or 30})"
    natural = plan.groups[0].part is not None or plan.groups[0].column.kind in ("calendar", "date")
    labelled = [
        f"shown = {part}",
        'shown = shown.set_axis([" · ".join(map(str, i)) if isinstance(i, tuple) else str(i) for i in shown.index])',
    ]
    if natural and len(plan.groups) == 1 and not plan.top:
        body = [
            "figure, axis = plt.subplots(figsize=(9, 4.5))",
            *labelled[:1],
            f"axis.bar([short(i, 12) for i in shown.index], shown[{literal(value)}].astype(float), color=BLUE)",
            'axis.tick_params(axis="x", rotation=45 if len(shown) > 12 else 0)',
            f"titled(axis, {literal(title)}, {literal(first)}, {literal(axis)})",
        ]
    else:
        body = [
            *labelled,
            "figure, axis = plt.subplots(figsize=(9, 1.6 + 0.3 * len(shown)))",
            f"bars(axis, shown, {literal(value)}, error={error}"
            + (', reference=overall["value"])' if value in ("mean", "median") else ")"),
            f"titled(axis, {literal(title)}, {literal(axis)})",
        ]
    charts: list[Chart] = [("by-group", title, body)]
    if plan.target is not None and plan.target.column.kind == "number":
        charts.append(spread_chart(plan))
    elif plan.target is None:
        charts.append(share_chart(plan))
    return charts


def spread_chart(plan: Plan) -> Chart:
    """How the single values lie around the mean of each group."""
    assert plan.target is not None
    group, target = literal(plan.groups[0].name), literal(plan.target.name)
    unit = unit_of(plan.target.column)
    axis = plan.target.name + (f" ({unit})" if unit else "")
    title = f"Spread of {plan.target.name} in each {plan.groups[0].name} (box: middle half)"
    body = [
        f"names = list(df.loc[df[{target}].notna(), {group}].value_counts().index[:12])",
        f"values = [df.loc[df[{group}] == name, {target}].dropna().astype(float) for name in names]",
        "figure, axis = plt.subplots(figsize=(9, 1.6 + 0.35 * len(names)))",
        'axis.boxplot(values, orientation="horizontal", whis=(5, 95), showfliers=False, patch_artist=True, '
        'boxprops={"facecolor": LIGHT}, medianprops={"color": RED})',
        "axis.set_yticks(range(1, len(names) + 1), [short(name, 36) for name in names])",
        "axis.invert_yaxis()",
        f"titled(axis, {literal(title)}, {literal(axis)})",
    ]
    return ("spread", title, body)


def share_chart(plan: Plan) -> Chart:
    title = f"Cumulative share of rows over the groups of {plan.groups[0].name}, largest first"
    body = [
        'running = table["n"].sort_values(ascending=False).cumsum() / table["n"].sum() * 100',
        "figure, axis = plt.subplots(figsize=(9, 4))",
        'axis.plot(range(1, len(running) + 1), running, marker="o" if len(running) < 40 else None, color=BLUE)',
        "axis.set_ylim(0, 104)",
        f'titled(axis, {literal(title)}, "number of groups", "share of rows (%)")',
    ]
    return ("share", title, body)


def total_charts(plan: Plan) -> list[Chart]:
    if plan.target is None:
        return (
            [(n, c, b) for n, c, b in survey_charts(plan)][:1]
            if not plan.conditions
            else [condition_chart(plan)]
        )
    column, name = literal(plan.target.name), plan.target.name
    unit = unit_of(plan.target.column)
    title = f"Distribution of {name} (the outermost 1 % on each side are not shown)"
    axis = name + (f" ({unit})" if unit else "")
    body = [
        f"values = df[{column}].dropna().astype(float)",
        "low, high = values.quantile([0.01, 0.99])",
        "figure, axis = plt.subplots(figsize=(9, 4.5))",
        "axis.hist(values[(values >= low) & (values <= high)], bins=40, color=BLUE, edgecolor='white', linewidth=0.5)",
        'axis.axvline(values.mean(), color=RED, linestyle="--", linewidth=1, label=f"mean {values.mean():,.4g}")',
        'axis.axvline(values.median(), color=GREY, linestyle=":", linewidth=1.5, label=f"median '
        '{values.median():,.4g}")',
        "axis.legend(frameon=False)",
        f'titled(axis, {literal(title)}, {literal(axis)}, "rows")',
    ]
    return [("distribution", title, body)]


def condition_chart(plan: Plan) -> Chart:
    title = f"Rows of {plan.base.name}{condition_title(plan)}"
    body = [
        f"others = len(tables[{literal(plan.base.name)}]) - len(df)",
        'counts = pd.Series({"match": len(df), "others": others}, name="n").to_frame()',
        "figure, axis = plt.subplots(figsize=(8, 2.2))",
        'bars(axis, counts, "n")',
        f'titled(axis, {literal(title)}, "rows")',
    ]
    return ("matching", title, body)


def trend_charts(plan: Plan, study: Mapping[str, Any]) -> list[Chart]:
    axis = axis_name(plan)
    title = f"{axis[0].upper()}{axis[1:]} per {study['by']}{condition_title(plan)}"
    line = [
        "figure, axis = plt.subplots(figsize=(10, 4.5))",
        "times = series.index.to_timestamp()",
        'axis.plot(times, series["value"].astype(float), marker="o" if len(series) < 60 else None, '
        "markersize=4, color=BLUE)",
        "axis.xaxis.set_major_locator(matplotlib.dates.AutoDateLocator(maxticks=10))",
        "axis.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(axis.xaxis.get_major_locator()))",
    ]
    charts: list[Chart] = [("trend", title, [*line, f'titled(axis, {literal(title)}, "", {literal(axis)})'])]
    if plan.groups:
        more = f"{title}, by {plan.groups[0].name} (the commonest)"
        body = [
            "figure, axis = plt.subplots(figsize=(10, 4.8))",
            "for name in by_group:",
            "    axis.plot(by_group.index.to_timestamp(), by_group[name].astype(float), label=short(name), "
            "linewidth=1.5)",
            'axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))',
            f'titled(axis, {literal(more)}, "", {literal(axis)})',
        ]
        charts.append(("trend-by-group", more, body))
    elif plan.target is not None:
        rows_title = f"Rows behind each {study['by']}"
        body = [
            "figure, axis = plt.subplots(figsize=(10, 3))",
            'axis.fill_between(series.index.to_timestamp(), series["n"].astype(float), color=LIGHT, step="mid")',
            "axis.set_ylim(bottom=0)",
            f'titled(axis, {literal(rows_title)}, "", "rows")',
        ]
        charts.append(("trend-rows", rows_title, body))
    return charts


def relation_charts(plan: Plan) -> list[Chart]:
    assert plan.target is not None
    x, y = plan.groups[0].name, plan.target.name
    title, means = f"{y} against {x}", f"Mean {y} for each range of {x}"
    cloud = [
        "figure, axis = plt.subplots(figsize=(8, 5.5))",
        "near = pairs[(pairs >= pairs.quantile(0.001)).all(axis=1) & (pairs <= "
        "pairs.quantile(0.999)).all(axis=1)] if len(pairs) > 2000 else pairs",
        "if len(near) > 5000:",
        '    axis.hexbin(near["x"], near["y"], gridsize=50, mincnt=1, bins="log", cmap="Blues")',
        "else:",
        '    axis.scatter(near["x"], near["y"], s=14, alpha=0.5, color=BLUE, edgecolor="none")',
        "if line:",
        '    ends = near["x"].agg(["min", "max"]).to_numpy()',
        '    axis.plot(ends, line.intercept + line.slope * ends, color=RED, linewidth=1.5, label=f"r = '
        '{line.rvalue:.2f}")',
        "    axis.legend(frameon=False)",
        f"titled(axis, {literal(title)}, {literal(x)}, {literal(y)})",
    ]
    levels = [
        "figure, axis = plt.subplots(figsize=(9, 4.5))",
        'dots(axis, bins, "")',
        f"titled(axis, {literal(means + ' (bars: 95 % confidence)')}, {literal(x)}, {literal('mean ' + y)})",
    ]
    return [("relation", title, cloud), ("relation-means", means, levels)]


def survey_charts(plan: Plan) -> list[Chart]:
    table = literal(plan.base.name)
    head = [f"df, facts = tables[{table}], described[{table}]"]
    gaps = [
        *head,
        'gaps = facts.assign(share=facts["missing"] / max(1, len(df)) * 100).nlargest(20, "share").set_index("column")',
        "figure, axis = plt.subplots(figsize=(9, 1.5 + 0.28 * len(gaps)))",
        'bars(axis, gaps, "share")',
        f'titled(axis, {literal(f"Missing values in {plan.base.name}")}, "share of rows (%)")',
    ]
    charts: list[Chart] = [("missing", f"Missing values in {plan.base.name}", gaps)]
    numbers = plan.base.of_kind("number")
    if numbers:
        charts.insert(0, histograms(plan, [c.name for c in sorted(numbers, key=lambda c: c.missing)[:9]]))
    if len(numbers) >= 3:
        charts.append(heatmap([c.name for c in numbers[:15]]))
    if plan.base.of_kind("category", "boolean"):
        charts.append(categories(plan))
    return charts


def histograms(plan: Plan, names: Sequence[str]) -> Chart:
    title = f"Distributions in {plan.base.name} (without the outermost 0.5 % on each side)"
    body = [
        f"df, names = tables[{literal(plan.base.name)}], {literal(names)}",
        "high, wide = -(-len(names) // 3), min(3, len(names))",
        "figure, axes = plt.subplots(high, wide, figsize=(3.4 * wide, 2.4 * high), squeeze=False)",
        "for axis, name in zip(axes.flat, names):",
        "    values = df[name].dropna().astype(float)",
        "    axis.hist(values[values.between(*values.quantile([0.005, 0.995]))], bins=30, color=BLUE)",
        "    axis.set_title(short(name, 26), fontsize=10)",
        "for axis in axes.flat[len(names):]:",
        "    axis.set_visible(False)",
        "figure.tight_layout()",
    ]
    return ("distributions", title, body)


def heatmap(names: Sequence[str]) -> Chart:
    title = "Correlations between the numbers"
    body = [
        f"r = df[{literal(names)}].astype(float).corr()",
        "figure, axis = plt.subplots(figsize=(1.8 + 0.55 * len(r), 1.4 + 0.5 * len(r)))",
        'image = axis.imshow(r, vmin=-1, vmax=1, cmap="RdBu_r")',
        "for i, j in np.ndindex(r.shape):",
        "    if np.isfinite(r.iat[i, j]):",
        '        axis.text(j, i, f"{r.iat[i, j] + 0:.2f}", ha="center", va="center", fontsize=7, color="white" '
        'if abs(r.iat[i, j]) > 0.6 else "black")',
        'axis.set_xticks(range(len(r)), [short(name, 18) for name in r], rotation=45, ha="right")',
        "axis.set_yticks(range(len(r)), [short(name, 18) for name in r])",
        "axis.grid(visible=False)",
        "figure.colorbar(image, shrink=0.8)",
        f"titled(axis, {literal(title)})",
    ]
    return ("correlations", title, body)


def categories(plan: Plan) -> Chart:
    names = [c.name for c in sorted(plan.base.of_kind("category", "boolean"), key=lambda c: c.distinct)[:4]]
    title = f"Commonest values in {plan.base.name}"
    body = [
        f"names = {literal(names)}",
        "figure, axes = plt.subplots(1, len(names), figsize=(4.2 * len(names), 3.4), squeeze=False)",
        "for axis, name in zip(axes.flat, names):",
        '    bars(axis, df[name].astype(str).where(df[name].notna()).value_counts().head(8).to_frame("n"), "n")',
        "    axis.set_title(short(name, 26), fontsize=10)",
        "figure.tight_layout()",
    ]
    return ("categories", title, body)
