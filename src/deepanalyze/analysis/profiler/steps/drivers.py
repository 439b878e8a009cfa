"""How A and B drive C: means per level, variance explained alone and beyond the others, adjusted means."""

from __future__ import annotations

from deepanalyze.analysis.profiler.code import block, kit, literal
from deepanalyze.analysis.profiler.plan import Field, Plan
from deepanalyze.analysis.profiler.planning import CELLS
from deepanalyze.analysis.profiler.steps.frame import frame_code


def compare_code(plan: Plan) -> str:
    assert plan.target is not None
    return block(
        kit("levels"),
        frame_code(plan),
        [
            f"controls = {literal([f.name for f in plan.controls])}",
            *drivers_code(plan),
            *target_code(plan.target),
            "levels = pd.DataFrame({name: levels_of(df[name]) for name in [*drivers, *controls]})",
            "effects = {name: effect_table(y, levels[name]) for name in levels}",
            "alone = {name: explained_alone(y, levels[name], effects[name]) for name in levels}",
            "strongest = sorted(drivers, key=lambda name: -alone[name][0])[:14]",
            "for name in [*strongest[:3], *controls]:",
            '    print(f"{name}: {alone[name][0]:.2%} of variance", '
            'effects[name].head(12).round(2).to_string(), sep="\\n", end="\\n\\n")',
            'show("compare", {"joined": joined})',
        ],
    )


def study_code(plan: Plan) -> str:
    return block(
        kit("modelling"),
        [
            "# what moves almost in step with the target is rather another measurement of it than a cause",
            "twins = [name for name in strongest if pd.api.types.is_numeric_dtype(df[name]) and "
            "abs(df[name].astype(float).corr(y)) > 0.85]",
            "used = [name for name in strongest if name not in twins]",
            f"blocks = {literal(dict(plan.blocks))}",
            "blocks = {block: kept for block, names in blocks.items() if (kept := [name for name in names if "
            "name in used])}",
            'r2, parts, adjusted = (0.0, pd.DataFrame(columns=["alone", "beyond_the_others"]), {})',
            "if used:",
            "    r2, parts, adjusted = model(y, levels[used + controls], blocks)",
            "    for name in used + controls:",
            '        parts.loc[name, "alone"] = alone[name][0]',
            "for name in used:",
            '    effects[name]["adjusted"] = adjusted[name].reindex(effects[name].index)',
            "print(parts.round(4).to_string())",
        ],
        result_code(),
    )


def drivers_code(plan: Plan) -> list[str]:
    if not plan.every_column:
        return [f"drivers = {literal([f.name for f in plan.drivers])}"]
    target = literal(plan.target.name if plan.target else "")
    return [
        f"facts = described[{literal(plan.base.name)}].query('distinct > 1')",
        'few = facts["kind"].isin(["number", "boolean"]) | (facts["kind"].eq("category") & (facts["distinct"] <= 200))',
        f"drivers = [name for name in facts.loc[few, 'column'] if name != {target}][: max(60, {CELLS} // len(df))]",
    ]


def target_code(target: Field) -> list[str]:
    column = literal(target.name)
    if target.column.kind in ("number", "calendar", "clock", "boolean"):
        return [
            f"df = df[df[{column}].notna()].reset_index(drop=True)",
            f"y, event = df[{column}].astype(float), None",
        ]
    if target.column.kind == "date":
        return [
            f"df = df[df[{column}].notna()].reset_index(drop=True)",
            f"y, event = (df[{column}] - df[{column}].min()).dt.total_seconds() / 86_400, None",
        ]
    return [
        f"df = df[df[{column}].notna()].reset_index(drop=True)",
        f"event = str(df[{column}].value_counts().index[{-1 if target.column.distinct == 2 else 0}])[:60]",
        f"y = (df[{column}].astype(str).str.slice(0, 60) == event).astype(float)  # the share of one value "
        "is what is explained",
    ]


def result_code() -> list[str]:
    """The numbers in one line; of long lists of levels the ends, as many as there is room for."""
    return [
        "def is_numeric(name):",
        "    return pd.api.types.is_numeric_dtype(df[name]) and not pd.api.types.is_bool_dtype(df[name])",
        "",
        "def rows_of(name, most):",
        '    table = effects[name].reindex(columns=["n", "mean", "ci95", "adjusted"]).astype(float)',
        '    ranked = table if is_numeric(name) and len(table) <= most else table.sort_values("mean", ascending=False)',
        "    few = ranked if len(ranked) <= most else pd.concat([ranked.head(most // 2), ranked.tail(most // 2)])",
        "    numbers = few.astype(object).where(few.notna(), None).to_numpy().tolist()",
        "    return [[str(label)[:60], *row] for label, row in zip(few.index, numbers)]",
        "",
        "def told(name, most):",
        "    r = float(df[name].astype(float).corr(y)) if is_numeric(name) else np.nan",
        '    adds = float(parts["beyond_the_others"].get(name, 0))',
        '    return {"alone": alone[name][0], "p": alone[name][1], "adds": adds, "r": r if np.isfinite(r) else None,',
        '            "numeric": is_numeric(name), "levels": rows_of(name, most)}',
        "",
        "def told_block(name):",
        '    return {"alone": float(parts.loc[name, "alone"]), "adds": float(parts.loc[name, "beyond_the_others"])}',
        "",
        "for most in (32, 20, 12, 8, 4, 2):  # as many levels as there is room for",
        "    study = {",
        '        "n": len(y), "mean": float(y.mean()), "median": float(y.median()), "sd": float(y.std()), "r2": r2,',
        '        "joined": joined, "event": event, "twins": twins, "used": used,',
        '        "blocks": {name: told_block(name) for name in blocks},',
        '        "drivers": {name: told(name, most) for name in strongest},',
        '        "controls": {name: told(name, most) for name in controls},',
        "    }",
        "    if len(json.dumps(brief(study), ensure_ascii=False)) < 9000:",
        "        break",
        'show("study", study)',
    ]
