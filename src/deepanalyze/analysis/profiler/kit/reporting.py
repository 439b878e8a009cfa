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
        return f"{value:.4g}" if small else f"{value:,.0f}" if value == round(value) else f"{value:,.2f}"
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{value:,}"
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


def markdown_table(table: pd.DataFrame, first: str | None = None, most: int = 60) -> str:
    """With the index as the first column when it is given a name."""
    shown = table.head(most)
    head = ([first] if first else []) + [str(c) for c in shown.columns]
    numbers = [False] * bool(first) + [pd.api.types.is_numeric_dtype(shown[c]) for c in shown.columns]
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
