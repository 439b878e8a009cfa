from typing import Any

import numpy as np
import pandas as pd


def cell(value: Any) -> str:
    """One cell of a Markdown table: on one line, with nothing in it that Markdown or HTML would take for itself."""
    if isinstance(value, float | np.floating):
        value = float(value)
        if not np.isfinite(value):
            return ""
        small = abs(value) < 1 and value != 0
        text = f"{value:.4g}" if small else f"{value:,.0f}" if value == round(value) else f"{value:,.2f}"
        return text.replace("-", "−")
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{value:,}".replace("-", "−")
    text = (
        ""
        if value is None or value is pd.NA
        else " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    )
    text = text if len(text) <= 80 else text[:79] + "…"
    for character, safe in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        ("|", "\\|"),
        ("`", "\\`"),
        ("*", "\\*"),
        ("_", "\\_"),
        ("[", "\\["),
        ("!", "\\!"),
    ):
        text = text.replace(character, safe)
    return text


def mostly_numbers(column: "pd.Series[Any]") -> bool:
    filled = column.dropna()
    return bool(pd.to_numeric(filled, errors="coerce").notna().mean() > 0.5)


def markdown_table(table: pd.DataFrame, first: str | None = None, most: int = 60) -> str:
    """With the index as the first column when it is given a name."""
    shown = table.head(most)
    head = ([first] if first else []) + [str(c) for c in shown.columns]
    numbers = [False] * bool(first) + [mostly_numbers(shown[c]) for c in shown.columns]
    rows = [
        ([index] if first else []) + list(row)
        for index, row in zip(shown.index, shown.itertuples(index=False, name=None), strict=True)
    ]
    lines = [head, *rows]
    text = ["| " + " | ".join(cell(v) for v in line) + " |" for line in lines]
    text.insert(1, "|" + "|".join("---:" if number else "---" for number in numbers) + "|")
    if len(table) > most:
        text.append(f"\n*{len(table) - most:,} more rows are not shown.*")
    return "\n".join(text)


def appendix(facts: pd.DataFrame) -> pd.DataFrame:
    """What a reader looks up; parts of the calendar and clock times are labels, not amounts."""
    facts = facts[facts["column"] != "source_file"]
    shown = facts.drop(columns=["far", "skew"]).astype(object)
    labels = facts["kind"].isin(["calendar", "clock"])
    shown.loc[labels, ["median", "mean"]] = None
    for column in ("min", "max"):
        shown.loc[labels, column] = [f"{value:.0f}" for value in facts.loc[labels, column]]
    return (
        shown.where(shown.notna(), None).dropna(axis=1, how="all").rename(columns={"top": "commonest values"})
    )
