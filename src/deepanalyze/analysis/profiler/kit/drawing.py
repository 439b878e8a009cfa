import textwrap
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import matplotlib.ticker
import numpy as np
import pandas as pd
from matplotlib import font_manager

FIGURES = Path("figures")
FIGURES.mkdir(exist_ok=True)
BLUE, RED, GREY, LIGHT = "#2b6cb0", "#c05621", "#4a5568", "#cbd5e0"
plt.rcParams.update({
    "figure.dpi": 110, "savefig.dpi": 130, "font.size": 10, "axes.titlesize": 12,
    "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.titlepad": 12, "axes.edgecolor": LIGHT, "axes.labelcolor": GREY, "xtick.color": GREY,
    "ytick.color": GREY, "text.color": "#1a202c",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#edf2f7",
    "axes.axisbelow": True,
    "text.parse_math": False,
})  # fmt: skip
installed = {font.name for font in font_manager.fontManager.ttflist}
chinese = [
    name
    for name in (
        "Noto Sans CJK SC",
        "Noto Sans Mono CJK SC",
        "Source Han Sans SC",
        "SimHei",
        "WenQuanYi Zen Hei",
    )
    if name in installed
]
plt.rcParams["font.sans-serif"] = ["DejaVu Sans", *chinese]


def short(text: Any, width: int = 28) -> str:
    clean = "".join(c if c.isprintable() else " " for c in str(text))
    return clean if len(clean) <= width else clean[: width - 1] + "…"


def told(value: float) -> str:
    return (
        f"{value:,.0f}"
        if abs(value) >= 1000 or (value == round(value) and abs(value) >= 100)
        else f"{value:,.2f}"
    )


def save(figure: Any, name: str) -> str:
    path = FIGURES / f"{name}.png"
    figure.savefig(path, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    return str(path)


def titled(axis: Any, title: str, x: str = "", y: str = "") -> None:
    axis.set_title("\n".join(textwrap.wrap(short(title, 160), 70)))
    axis.set_xlabel(short(x, 60))
    axis.set_ylabel(short(y, 60))


def bars(
    axis: Any, table: pd.DataFrame, column: str, *, error: str | None = None, reference: float | None = None
) -> None:
    """Horizontal bars from the top down, each with its number at the end."""
    values = table[column].astype(float)
    spread = table[error].fillna(0) if error else None
    axis.barh(
        range(len(table)),
        values,
        color=BLUE,
        xerr=spread,
        ecolor=GREY,
        error_kw={"elinewidth": 1, "capsize": 2},
    )
    axis.set_yticks(range(len(table)), [short(label, 36) for label in table.index])
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    ends = values + np.sign(values) * (spread if spread is not None else 0)
    room = float(np.ptp([0, *ends.fillna(0)])) or 1.0
    for i, (value, end) in enumerate(zip(values, ends, strict=True)):
        if np.isfinite(value):
            side = "left" if value >= 0 else "right"
            axis.text(
                end + (0.01 if value >= 0 else -0.01) * room,
                i,
                f" {told(value)} ",
                va="center",
                ha=side,
                fontsize=8,
                color=GREY,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
            )
    axis.margins(x=0.12)
    axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
    axis.xaxis.set_major_formatter(
        matplotlib.ticker.FuncFormatter(
            lambda value, _: f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
        )
    )
    if reference is not None:
        axis.axvline(reference, color=RED, linewidth=1, linestyle="--", label=f"overall {told(reference)}")
        axis.legend(frameon=False, fontsize=8, loc="lower right")


def dots(axis: Any, table: pd.DataFrame, title: str) -> None:
    """Mean of each level with its confidence interval, left to right."""
    axis.errorbar(
        range(len(table)),
        table["mean"],
        yerr=table["ci95"].fillna(0),
        fmt="o-",
        color=BLUE,
        ecolor=LIGHT,
        capsize=3,
        markersize=5,
    )
    turned = max((len(str(label)) for label in table.index), default=0) * len(table) > 40
    axis.set_xticks(
        range(len(table)),
        [short(label, 20) for label in table.index],
        rotation=25 if turned else 0,
        ha="right" if turned else "center",
        fontsize=8,
    )
    axis.set_title(short(title, 48), fontsize=10)
