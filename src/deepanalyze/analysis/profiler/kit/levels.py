from typing import Any

import numpy as np
import pandas as pd
from scipy import stats


def level_names(lows: Any, highs: Any) -> list[str]:
    """As few digits as tell the bins apart."""
    for digits in (4, 6, 9, 12, 17):

        def text(value: float, digits: int = digits) -> str:
            short = f"{value:,.0f}" if value == round(value) and abs(value) < 1e12 else f"{value:,.{digits}g}"
            return short.replace("-", "−")

        names = [
            text(low) if low == high else f"{text(low)} to {text(high)}"
            for low, high in zip(lows, highs, strict=True)
        ]
        if len(set(names)) == len(names):
            break
    return names


def binned(values: "pd.Series[float]", bins: int) -> "pd.Series[Any]":
    """About equally full bins; a value that a third of the rows share (no rain, clear sight) is a bin of its own."""
    values = values.astype(float)
    counts = values.value_counts()
    common = [float(counts.index[0])] if len(counts) > bins and counts.iloc[0] >= values.count() / 3 else []
    rest = values[~values.isin(common)].dropna()
    starts = list(common)
    for part in [rest[rest < common[0]], rest[rest > common[0]]] if common else [rest]:
        wanted = max(2, round((bins - 1) * len(part) / len(rest))) if common else bins
        few = np.unique(part) if len(part) < 50_000 or part.nunique() <= wanted else part
        starts += list(
            few if len(few) <= wanted else np.quantile(part, np.arange(wanted) / wanted, method="higher")
        )
    edges = np.unique(starts)
    codes = np.where(values.isna(), -1, np.searchsorted(edges, values.to_numpy(), side="right") - 1)
    ends = values.groupby(codes).agg(["min", "max"]).drop(index=-1, errors="ignore")
    codes = np.searchsorted(ends.index, codes) - (codes < 0)
    names = pd.Index(level_names(ends["min"], ends["max"]))
    return pd.Series(pd.Categorical.from_codes(codes, names, ordered=True), index=values.index)


def levels_of(values: "pd.Series[Any]", bins: int = 5, most: int = 40) -> "pd.Series[Any]":
    """Few levels to compare: bins of a number, the commonest values of anything else."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        if values.nunique() > 31 or not (values.dropna() % 1 == 0).all():
            return binned(values, bins)
        return values.astype("category").cat.rename_categories(lambda v: f"{v:g}")
    levels = values.astype("category").cat.rename_categories(str)
    if len(levels.cat.categories) <= most:
        return levels
    kept = levels.value_counts().index[:most]
    return levels.astype(object).where(levels.isin(kept) | levels.isna(), "(other)").astype("category")


def effect_table(y: "pd.Series[float]", levels: "pd.Series[Any]") -> pd.DataFrame:
    """Mean of y in each level, with its 95 % confidence interval, and the median."""
    groups = y.groupby(levels, observed=True)
    table = pd.DataFrame(
        {"n": groups.count(), "mean": groups.mean(), "median": groups.median(), "sd": groups.std()}
    )
    table = table[table["n"] > 0]
    table["ci95"] = table["sd"] / np.sqrt(table["n"]) * stats.t.ppf(0.975, (table["n"] - 1).clip(lower=1))
    return table.rename_axis(index=None)


def explained_alone(
    y: "pd.Series[float]", levels: "pd.Series[Any]", table: pd.DataFrame
) -> tuple[float, float]:
    """Share of the variance of y that the levels explain (adjusted for how many they are), and its p-value.

    `table` is the levels' effect table."""
    n, k = int(table["n"].sum()), len(table)
    inside = y[levels.notna()]
    total = float(((inside - inside.mean()) ** 2).sum())
    if k < 2 or n <= k or total == 0:
        return 0.0, 1.0
    between = float((table["n"] * (table["mean"] - inside.mean()) ** 2).sum())
    rest = max(total - between, 1e-12 * total)
    p = float(stats.f.sf((between / (k - 1)) / (rest / (n - k)), k - 1, n - k))
    return max(0.0, 1 - rest / (n - k) * (n - 1) / total), p
