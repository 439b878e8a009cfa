"""Nothing in particular was asked: the shape of everything."""

from __future__ import annotations

from deepanalyze.analysis.profiler.code import block, literal
from deepanalyze.analysis.profiler.facts import Column
from deepanalyze.analysis.profiler.plan import Plan


def study_code(plan: Plan, step: str = "study") -> str:
    numbers, categories = shown_columns(plan)
    return block(
        [
            f"df = tables[{literal(plan.base.name)}]",
            f"numbers, categories = {literal([c.name for c in numbers])}, {literal([c.name for c in categories])}",
            "spread = df[numbers].astype(float).describe(percentiles=[0.05, 0.5, 0.95]).T if numbers else "
            "pd.DataFrame()",
            'print(spread.round(3).to_string(max_colwidth=40) if len(spread) else "no numbers to describe")',
            "common = {name: df[name].astype(str).where(df[name].notna()).value_counts().head(8) for name in "
            "categories}",
            "study = {",
            '    "rows": len(df), "missing": int(df.isna().sum().sum()), "cells": int(df.size),',
            '    "numbers": {name: [None if pd.isna(v) else float(v) for v in row] for name, row in '
            "zip(spread.index, spread.to_numpy())},",
            '    "categories": {name: [[str(v)[:60], int(n)] for v, n in counts.items()] for name, counts in '
            "common.items()},",
            "}",
            f'show("{step}", study)',
        ]
    )


def shown_columns(plan: Plan) -> tuple[list[Column], list[Column]]:
    """The most informative few: numbers with the least missing, categories with few values."""
    numbers = sorted(plan.base.of_kind("number"), key=lambda c: c.missing)[:12]
    categories = sorted(plan.base.of_kind("category", "boolean"), key=lambda c: (c.distinct > 60, c.missing))[
        :6
    ]
    order = {c.name: i for i, c in enumerate(plan.base.columns)}
    return sorted(numbers, key=lambda c: order[c.name]), sorted(categories, key=lambda c: order[c.name])
