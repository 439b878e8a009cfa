"""Averages, totals and counts by group; the top and the bottom of them."""

from __future__ import annotations

from deepanalyze.analysis.profiler.code import block, literal
from deepanalyze.analysis.profiler.plan import Plan
from deepanalyze.analysis.profiler.steps.frame import frame_code

KEPT_ORDER = ("calendar", "date")


def study_code(plan: Plan) -> str:
    return block(frame_code(plan), table_code(plan), result_code(plan))


def table_code(plan: Plan) -> list[str]:
    groups = literal([g.name for g in plan.groups])
    if plan.target is None:
        lines = ["overall = {'n': len(df), 'value': len(df)}"]
        if not plan.groups:
            return [*lines, "table = pd.DataFrame()"]
        return [
            *lines,
            f'table = df.groupby({groups}, observed=True).size().rename("n").to_frame()',
            'table["share"] = table["n"] / len(df)',
            *sort_code(plan, "n"),
        ]
    target = literal(plan.target.name)
    whole = f"y = df[{target}].astype(float)"
    lines = [
        whole,
        f"overall = {{'n': int(y.count()), 'value': float(y.{plan.statistic}()), 'median': float(y.median()),",
    ]
    lines.append(
        "           'sd': float(y.std()), 'min': float(y.min()), 'max': float(y.max()), 'missing': int(y.isna().sum())}"
    )
    if not plan.groups:
        lines += ["table = y.describe(percentiles=[0.05, 0.25, 0.5, 0.75, 0.95]).to_frame('value')"]
        return lines
    return [
        *lines,
        f"grouped = y.groupby([df[name] for name in {groups}], observed=True)",
        'table = grouped.agg(n="count", mean="mean", median="median", sum="sum", min="min", max="max", sd="std")',
        'table = table[table["n"] > 0]',
        'table["ci95"] = 1.96 * table.pop("sd") / table["n"] ** 0.5',
        *sort_code(plan, str(plan.statistic)),
    ]


def sort_code(plan: Plan, column: str) -> list[str]:
    first = plan.groups[0]
    natural = first.part is not None or first.column.kind in KEPT_ORDER
    if natural and plan.kind not in ("top",) and plan.top is None:
        return []
    return [f'table = table.sort_values("{column}", ascending={plan.ascending}, kind="stable")']


def result_code(plan: Plan) -> list[str]:
    top = plan.top or 40
    lines = ["print(table.head(8).round(4).to_string(max_colwidth=30) if len(table.columns) else overall)"]
    if plan.top:
        lines.append(f"top = table.head({top})")
    return [
        *lines,
        "def rows_of(part):  # of very long tables only the first rows find room here",
        "    part = part.head(max(1, 8000 // (60 + 12 * len(part.columns))))",
        '    labels = [" · ".join(str(v) for v in (i if isinstance(i, tuple) else (i,)))[:60] for i in part.index]',
        "    return [[label, *(None if pd.isna(v) else float(v) for v in row)] for label, row in zip(labels, "
        "part.to_numpy(dtype=float))]",
        "",
        "study = {",
        '    "overall": overall, "groups": len(table), "columns": list(table.columns), "rows": '
        f"rows_of(table.head({min(top, 60)})),",
        f'    "last": rows_of(table.tail(3)) if len(table) > {min(top, 60)} else [], "joined": joined,',
        "}",
        'show("study", study)',
    ]
