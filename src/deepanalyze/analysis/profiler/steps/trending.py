"""How something develops over time."""

from __future__ import annotations

from deepanalyze.analysis.profiler.code import block, literal
from deepanalyze.analysis.profiler.plan import Plan
from deepanalyze.analysis.profiler.steps.frame import frame_code

STEPS = (
    ("hour", r"\b(hourly|per hour|by hour|each hour)\b"),
    ("day", r"\b(daily|per day|by day|each day|every day|by date)\b"),
    ("week", r"\b(weekly|per week|by week|each week)\b"),
    ("month", r"\b(monthly|per month|by month|each month|months)\b"),
    ("quarter", r"\b(quarterly|per quarter|by quarter)\b"),
    ("year", r"\b(yearly|annually|annual|per year|by year|each year|years)\b"),
)


def study_code(plan: Plan, step: str | None) -> str:
    return block(frame_code(plan), series_code(plan, step), result_code())


def series_code(plan: Plan, step: str | None) -> list[str]:
    chosen = (
        literal(step)
        if step
        else (
            '"year" if span > 12 * 365 else "month" if span > 120 else "week" if span > 60 else "day" if '
            'span > 3 else "hour"'
        )
    )
    lines = [
        "span = (when.max() - when.min()).days",
        f"step = {chosen}",
        'codes = {"hour": "h", "day": "D", "week": "W", "month": "M", "quarter": "Q", "year": "Y"}',
        "period = when.dt.to_period(codes[step])",
    ]
    if plan.target is None or plan.statistic == "count":
        lines.append(
            'series = df.groupby(period).size().rename("value").to_frame().assign(n=lambda t: t["value"])'
        )
    else:
        lines.append(f"y = df[{literal(plan.target.name)}].astype(float)")
        lines.append(f'series = y.groupby(period).agg(value="{plan.statistic}", n="count").query("n > 0")')
    if plan.groups:
        group = literal(plan.groups[0].name)
        by = (
            f"y.groupby([period, df[{group}]], observed=True).{plan.statistic}()"
            if plan.target and plan.statistic != "count"
            else (f"df.groupby([period, df[{group}]], observed=True).size()")
        )
        lines.append(f"most = df[{group}].value_counts().index[:6]")
        lines.append(f"by_group = {by}.unstack().reindex(columns=most)")
    return lines


def result_code() -> list[str]:
    return [
        "series = series.sort_index()",
        "print(series.head(24).round(4).to_string())",
        "x = np.arange(len(series))",
        'fit = np.polyfit(x, series["value"].astype(float), 1) if len(series) > 2 else [np.nan, np.nan]',
        'r = float(np.corrcoef(x, series["value"].astype(float))[0, 1]) if len(series) > 2 and '
        'series["value"].std() > 0 else 0.0',
        "rows = [[str(when), float(value), int(n)] for when, (value, n) in zip(series.index, series.to_numpy())]",
        "study = {",
        '    "step": "study", "by": step, "count": len(rows), "rows": rows if len(rows) <= 60 else '
        "[*rows[:30], *rows[-30:]],",
        '    "high": max(rows, key=lambda row: row[1]) if rows else None, "low": min(rows, key=lambda row: '
        "row[1]) if rows else None,",
        '    "slope": None if np.isnan(fit[0]) else float(fit[0]), "r": r, "joined": joined, "n": '
        'int(series["n"].sum()),',
        "}",
        'show("study", study)',
    ]
