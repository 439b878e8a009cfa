import json
import re
from typing import Any

import numpy as np
import pandas as pd

CALENDAR = {"year": (1500, 2200), "quarter": (1, 4), "month": (1, 12), "week": (0, 53), "weekday": (0, 7),
            "day": (1, 31), "hour": (0, 24), "minute": (0, 59)}  # fmt: skip
ID_NAME = re.compile(
    r"(^|[_ .-])(id|ids|key|uuid|guid|code|zip|zipcode|postcode|phone|index|serial|sku)$|[a-z]Id$|^unnamed",
    re.I,
)


def kind_of(name: str, column: "pd.Series[Any]", distinct: int, table: str, first: bool) -> str:
    """What a column means: number, calendar, clock, date, boolean, category, id, text, constant or empty."""
    filled = column.dropna()
    n, tokens = len(filled), re.split(r"[^a-z]+", name.lower())
    if distinct == 0:
        return "empty"
    if pd.api.types.is_bool_dtype(column):
        return "boolean"
    if pd.api.types.is_datetime64_any_dtype(column):
        return "date"
    if pd.api.types.is_numeric_dtype(column):
        low, high = float(filled.min()), float(filled.max())
        whole = bool((filled % 1 == 0).all())
        for part, (least, most) in CALENDAR.items():
            if tokens[-1] == part and len(tokens) <= 2 and whole and least <= low and high <= most:
                return "calendar"
        if distinct == 1:
            return "constant"
        if (
            whole
            and tokens[-1] == "time"
            and low >= 0
            and high <= 2400
            and distinct > 60
            and (filled % 100 < 60).all()
        ):
            return "clock"
        counts_up = first and distinct == n > 10 and (filled.diff().dropna() == 1).all()
        if whole and (
            ID_NAME.search(name) or counts_up or name.lower() in (table.lower().rstrip("s"), "number")
        ):
            return "id"
        return "number"
    if distinct == 1:
        return "constant"
    words = filled.iloc[:: max(1, n // 500)].astype(str)
    if ID_NAME.search(name) or (distinct > 0.95 * n and n > 20 and not words.str.contains(" ").any()):
        return "id"
    long = words.str.len().mean() > 60
    return "text" if long or (distinct > 50 and distinct > 0.5 * n) else "category"


def describe(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each column: what it holds, what is missing, its range."""
    rows = []
    for name in frame.columns:
        column = frame[name]
        distinct = int(column.nunique())
        kind = kind_of(name, column, distinct, table, name == frame.columns[0])
        row = {"column": name, "kind": kind, "missing": int(column.isna().sum()), "distinct": distinct}
        if kind in ("number", "calendar", "clock"):
            values = column.dropna().astype(float)
            q1, q2, q3 = values.quantile([0.25, 0.5, 0.75])
            far = int(((values < q1 - 3 * (q3 - q1)) | (values > q3 + 3 * (q3 - q1))).sum()) if q3 > q1 else 0
            row |= {"min": values.min(), "median": q2, "mean": values.mean(), "max": values.max(), "far": far}
            row["skew"] = values.skew() if len(values) > 2 else np.nan
        elif kind == "date":
            row |= {"min": str(column.min()), "max": str(column.max())}
        elif kind in ("category", "boolean") and distinct < len(frame):
            top = column.value_counts().head(5)
            row["top"] = ", ".join(
                f"{str(value)[:24]} ({count / len(frame):.{0 if count >= 0.01 * len(frame) else 1}%})"
                for value, count in top.items()
            )
        rows.append(row)
    columns = ["column", "kind", "missing", "distinct", "min", "median", "mean", "max", "far", "skew", "top"]
    return pd.DataFrame(rows, columns=columns)


def short(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return None if not np.isfinite(value) else float(f"{value:.6g}")
    return value if value is None or isinstance(value, int | str) else int(value)


def strongest_correlations(frame: pd.DataFrame, facts: pd.DataFrame, most: int = 6) -> list[list[Any]]:
    numbers = list(facts.loc[facts["kind"] == "number", "column"])[:60]
    if len(numbers) < 2 or len(frame) < 5:
        return []
    values = frame[numbers].astype(float)
    r = values.sample(min(len(values), 50_000), random_state=0).corr(min_periods=5).to_numpy()
    i, j = np.triu_indices(len(numbers), 1)
    order = np.argsort(-np.nan_to_num(np.abs(r[i, j])))[:most]
    return [[numbers[i[k]], numbers[j[k]], short(r[i[k], j[k]])] for k in order if np.isfinite(r[i[k], j[k]])]


def in_minutes(frame: pd.DataFrame, facts: pd.DataFrame) -> list[str]:
    """Columns that are the difference of two clock times (hhmm), so surely minutes."""
    sample = frame.sample(min(len(frame), 2000), random_state=0)
    clocks = {
        c: sample[c] // 100 * 60 + sample[c] % 100 for c in facts.loc[facts["kind"] == "clock", "column"]
    }
    found = []
    for name in facts.loc[facts["kind"] == "number", "column"]:
        gaps = [
            (late - early - sample[name]).dropna() % 1440 == 0
            for late in clocks.values()
            for early in clocks.values()
        ]
        if any(len(gap) > 20 and gap.mean() > 0.95 for gap in gaps):
            found.append(name)
    return found


def facts_of(frame: pd.DataFrame, facts: pd.DataFrame, asked: str, room: int) -> dict[str, Any]:
    """What the analyst is told of a table: all numbers of the columns that fit into `room` characters, those that the
    question may mean first, then names alone."""
    keep = ["column", "kind", "missing", "distinct", "min", "mean", "max", "far"]
    rows = [
        [short(v) for v in row]
        for row in facts[keep].astype(object).where(facts[keep].notna(), None).to_numpy()
    ]
    meant = {
        str(row[0]): any(w[:4] in asked for w in re.findall(r"[^\W_]{3,}", str(row[0]).lower()))
        for row in rows
    }
    told: list[list[Any]] = []
    for row in sorted(rows, key=lambda row: not meant[str(row[0])]):
        shown = row if room > 2500 or len(rows) < 30 or meant[str(row[0])] else row[:2]
        room -= len(json.dumps(shown))
        if room > 0:
            told.append(shown)
    order = {row[0]: i for i, row in enumerate(rows)}
    return {
        "rows": len(frame),
        "duplicates": int(frame.duplicated().sum()) if len(frame) <= 1_000_000 else 0,
        "columns": sorted(told, key=lambda row: order[row[0]]),
        "left_out": len(rows) - len(told),
        "minutes": in_minutes(frame, facts),
        "correlations": strongest_correlations(frame, facts),
    }


def brief(value: Any) -> Any:
    """Ten digits are enough for every figure that is told."""
    if isinstance(value, dict):
        return {key: brief(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [brief(v) for v in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


def show(step: str, value: Any) -> None:
    """One line for the analyst that reads this output, who sees no more than 12,000 characters of it."""
    text = json.dumps(brief({"step": step, **value}), ensure_ascii=False, default=str)
    print("#result", text.encode("utf-8", "replace").decode())  # noqa: T201
