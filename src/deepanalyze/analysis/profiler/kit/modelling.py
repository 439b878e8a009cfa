from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pandas as pd


def model(
    y: "pd.Series[float]", drivers: pd.DataFrame, blocks: dict[str, list[str]]
) -> tuple[float, pd.DataFrame, dict[str, "pd.Series[float]"]]:
    """A linear model on the levels of all drivers at once (missing values are a level of their own).

    Returns the adjusted R², for each driver and block of drivers what it explains alone and what it adds beyond all
    others, and for each driver the mean of y in each level when the others are held at their average.
    """
    names, n = list(drivers.columns), len(y)
    sizes = [len(drivers[name].cat.categories) + 1 for name in names]
    codes = [
        np.where(c < 0, size - 1, c)
        for c, size in zip((drivers[name].cat.codes.to_numpy(np.int64) for name in names), sizes, strict=True)
    ]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    own = {name: np.arange(starts[i], starts[i + 1]) for i, name in enumerate(names)}
    centred = (y - y.mean()).to_numpy()
    gram = np.zeros(
        (starts[-1], starts[-1])
    )  # how often two levels come together; no matrix of all rows is needed
    for i, j in combinations_with_replacement(range(len(names)), 2):
        together = np.bincount(codes[i] * sizes[j] + codes[j], minlength=sizes[i] * sizes[j]).reshape(
            sizes[i], sizes[j]
        )
        gram[np.ix_(own[names[i]], own[names[j]])] = together
        gram[np.ix_(own[names[j]], own[names[i]])] = together.T
    share = np.diag(gram) / n
    gram += 1e-6 * n * np.eye(len(gram)) - n * np.outer(share, share)  # centred, and lightly regularised
    towards = np.concatenate(
        [np.bincount(c, weights=centred, minlength=size) for c, size in zip(codes, sizes, strict=True)]
    )

    def fit(keep: Any) -> tuple[float, Any]:
        if not len(keep):
            return 0.0, keep
        weights = np.linalg.solve(gram[np.ix_(keep, keep)], towards[keep])
        r2 = float(weights @ towards[keep] / max(float(centred @ centred), 1e-300))
        free = int((share[keep] > 0).sum()) - sum(bool(np.isin(own[name], keep).any()) for name in names)
        return 1 - (1 - r2) * (n - 1) / max(1, n - free - 1), weights

    everything = np.arange(len(gram))
    r2, weights = fit(everything)
    parts = {name: own[name] for name in names} | {
        b: np.concatenate([own[m] for m in ms]) for b, ms in blocks.items()
    }
    shares = {
        part: [fit(index)[0], r2 - fit(np.setdiff1d(everything, index))[0]] for part, index in parts.items()
    }
    table = pd.DataFrame.from_dict(shares, orient="index", columns=["alone", "beyond_the_others"]).clip(
        lower=0
    )
    adjusted = {}
    for name in names:
        effect = weights[own[name]] - share[own[name]] @ weights[own[name]]
        adjusted[name] = pd.Series(y.mean() + effect[:-1], index=drivers[name].cat.categories)
    return max(0.0, r2), table, adjusted
