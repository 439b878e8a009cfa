"""How two measures go together."""

from __future__ import annotations

from deepanalyze.analysis.profiler.code import block, kit, literal
from deepanalyze.analysis.profiler.plan import Plan
from deepanalyze.analysis.profiler.steps.frame import frame_code


def study_code(plan: Plan) -> str:
    assert plan.target is not None
    x, y = literal(plan.groups[0].name), literal(plan.target.name)
    return block(
        kit("levels"),
        frame_code(plan),
        [
            f'pairs = df[[{x}, {y}]].astype(float).dropna().set_axis(["x", "y"], axis=1)',
            'vary = len(pairs) > 2 and pairs["x"].nunique() > 1 and pairs["y"].nunique() > 1',
            'line = stats.linregress(pairs["x"], pairs["y"]) if vary else None',
            'rank = float(stats.spearmanr(pairs["x"], pairs["y"]).statistic) if vary else None',
            'bins = effect_table(pairs["y"], levels_of(pairs["x"], 8)) if len(pairs) else '
            'pd.DataFrame(columns=["n", "mean", "ci95"])',
            "print(bins.round(3).to_string())",
            "study = {",
            '    "n": len(pairs), "r": float(line.rvalue) if line else None, "p": float(line.pvalue) if line '
            'else None, "rank": rank,',
            '    "slope": float(line.slope) if line else None, "intercept": float(line.intercept) if line '
            'else None, "joined": joined,',
            '    "bins": [[str(i)[:60], int(row["n"]), float(row["mean"])] for i, row in bins.head(40).iterrows()],',
            "}",
            'show("study", study)',
        ],
    )
