from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse, stats


def number_label(value: float) -> str:
    text = f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    return text.replace("e+0", "e").replace("-", "−")


def binned(values: "pd.Series[float]", bins: int) -> "pd.Series[Any]":
    """About equally full bins; a value that a third of the rows share (no rain, clear sight) is a bin of its own."""
    values = values.astype(float)
    counts = values.value_counts()
    common = counts.index[:1] if len(counts) > bins and counts.iloc[0] >= values.count() / 3 else counts.index[:0]
    rest = values[~values.isin(common)].dropna()
    parts = [rest] if common.empty else [rest[rest < common[0]], rest[rest > common[0]]]
    labels = pd.Series(pd.NA, index=values.index, dtype=object)
    order: list[tuple[float, str]] = []
    for part in (p for p in parts if len(p)):
        wanted = bins if common.empty else max(2, round((bins - 1) * len(part) / len(rest)))
        if part.nunique() <= wanted:
            names = {v: number_label(v) for v in sorted(part.unique())}
            labels.loc[part.index], order = part.map(names), order + list(names.items())
            continue
        edges = np.unique(np.quantile(part, np.linspace(0, 1, wanted + 1)))
        codes = np.clip(np.searchsorted(edges, part, side="left") - 1, 0, max(0, len(edges) - 2))
        for code in np.unique(codes):
            inside = part[codes == code]
            name = f"{number_label(inside.min())} to {number_label(inside.max())}"
            name = name if inside.nunique() > 1 else number_label(inside.min())
            labels.loc[inside.index], order = name, [*order, (float(inside.min()), name)]
    for value in common:
        labels[values == value], order = number_label(value), [*order, (float(value), number_label(value))]
    return labels.astype(pd.CategoricalDtype(list(dict.fromkeys(name for _, name in sorted(order))), ordered=True))


def levels_of(values: "pd.Series[Any]", bins: int = 5, most: int = 40) -> "pd.Series[Any]":
    """Few levels to compare: bins of a number, the commonest values of anything else."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        levels = values.astype("category") if values.nunique() <= 31 and (values.dropna() % 1 == 0).all() else binned(values, bins)
        return levels.cat.rename_categories(lambda v: v if isinstance(v, str) else f"{v:g}")
    texts = values.astype(object).where(values.notna()).map(str, na_action="ignore")
    kept = texts.value_counts().index[:most]
    return texts.where(texts.isin(kept) | texts.isna(), "(other)").astype("category")


def effect_table(y: "pd.Series[float]", levels: "pd.Series[Any]") -> pd.DataFrame:
    """Mean of y in each level, with its 95 % confidence interval, and the median."""
    groups = y.groupby(levels, observed=True)
    table = pd.DataFrame({"n": groups.count(), "mean": groups.mean(), "median": groups.median(), "sd": groups.std()})
    table = table[table["n"] > 0]
    table["ci95"] = table["sd"] / np.sqrt(table["n"]) * stats.t.ppf(0.975, (table["n"] - 1).clip(lower=1))
    return table.rename_axis(index=None)


def explained_alone(y: "pd.Series[float]", levels: "pd.Series[Any]") -> tuple[float, float]:
    """Share of the variance of y that the levels explain (adjusted for how many they are), and its p-value."""
    table = effect_table(y, levels)
    n, k = int(table["n"].sum()), len(table)
    inside = y[levels.notna()]
    total = float(((inside - inside.mean()) ** 2).sum())
    if k < 2 or n <= k or total == 0:
        return 0.0, 1.0
    between = float((table["n"] * (table["mean"] - inside.mean()) ** 2).sum())
    rest = max(total - between, 1e-12 * total)
    p = float(stats.f.sf((between / (k - 1)) / (rest / (n - k)), k - 1, n - k))
    return max(0.0, 1 - rest / (n - k) * (n - 1) / total), p


def model(
    y: "pd.Series[float]", drivers: pd.DataFrame, blocks: dict[str, list[str]]
) -> tuple[float, pd.DataFrame, dict[str, "pd.Series[float]"]]:
    """A linear model on the levels of all drivers at once (missing values are a level of their own).

    Returns the adjusted R², for each driver and block of drivers what it explains alone and what it adds beyond all
    others, and for each driver the mean of y in each level when the others are held at their average.
    """
    names, codes = list(drivers.columns), [drivers[c].cat.codes.to_numpy() for c in drivers.columns]
    sizes = [len(drivers[c].cat.categories) + 1 for c in names]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    n, width = len(y), int(starts[-1])
    columns = np.concatenate([np.where(c < 0, size - 1, c) + s for c, size, s in zip(codes, sizes, starts)])
    x = sparse.csr_matrix((np.ones(len(columns)), (np.tile(np.arange(n), len(names)), columns)), (n, width))
    share = np.asarray(x.mean(axis=0)).ravel()
    centred = (y - y.mean()).to_numpy()
    gram = (x.T @ x).toarray() - n * np.outer(share, share) + 1e-6 * n * np.eye(width)  # lightly regularised
    towards = x.T @ centred

    def fit(keep: Any) -> tuple[float, Any]:
        if not len(keep):
            return 0.0, keep
        weights = np.linalg.solve(gram[np.ix_(keep, keep)], towards[keep])
        r2 = float(weights @ towards[keep] / max(float(centred @ centred), 1e-300))
        free = int((share[keep] > 0).sum()) - sum(bool(np.isin(own[name], keep).any()) for name in names)
        return 1 - (1 - r2) * (n - 1) / max(1, n - free - 1), weights

    everything = np.arange(width)
    own = {name: np.arange(starts[i], starts[i + 1]) for i, name in enumerate(names)}
    r2, weights = fit(everything)
    parts = {name: own[name] for name in names} | {b: np.concatenate([own[m] for m in ms]) for b, ms in blocks.items()}
    shares = {part: [fit(index)[0], r2 - fit(np.setdiff1d(everything, index))[0]] for part, index in parts.items()}
    table = pd.DataFrame.from_dict(shares, orient="index", columns=["alone", "beyond_the_others"]).clip(lower=0)
    adjusted = {}
    for name in names:
        effect = weights[own[name]] - share[own[name]] @ weights[own[name]]
        adjusted[name] = pd.Series(y.mean() + effect[:-1], index=drivers[name].cat.categories)
    return max(0.0, r2), table, adjusted
