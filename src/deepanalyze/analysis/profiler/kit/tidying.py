import re
import warnings
from typing import Any

import numpy as np
import pandas as pd

DATE = re.compile(
    r"^\s*(\d{4}[-/.年]\d{1,2}([-/.月]\d{1,2}日?)?|\d{1,2}[-/. ](\d{1,2}|[A-Za-z]{3,9})[-/. ,]+\d{2,4})([T ].*)?$"
)
BOOLEANS = [("true", "false"), ("t", "f"), ("yes", "no"), ("y", "n"), ("是", "否")]


def tidy_names(names: list[Any]) -> list[str]:
    """Short, unique, on one line."""
    seen: dict[str, int] = {}
    result = []
    for i, name in enumerate(names):
        clean = "".join(c for c in " ".join(str(name).split()) if c.isprintable())[:60] or f"column_{i + 1}"
        seen[clean] = seen.get(clean, 0) + 1
        result.append(clean if seen[clean] == 1 else f"{clean[:56]}.{seen[clean]}")
    return result if len(set(result)) == len(result) else [f"{n[:54]}.{i}" for i, n in enumerate(result)]


def as_numbers(texts: "pd.Series[Any]") -> "pd.Series[float]":
    clean = texts.str.strip().str.replace(r"^[$€£¥]\s*|\s*[%€$]$", "", regex=True)
    if clean.str.fullmatch(r"-?\d{1,3}(\.\d{3})*,\d{1,2}").mean() > 0.5:  # 1.234,50
        clean = clean.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
    clean = clean.str.replace(r"(?<=\d),(?=\d{3}(\D|$))", "", regex=True)
    return pd.to_numeric(clean, errors="coerce").astype(float)


def as_dates(texts: "pd.Series[Any]") -> "pd.Series[Any]":
    """Naive times; those with an offset become UTC."""
    texts = texts.str.replace(r"[年月]", "-", regex=True).str.replace("日", "", regex=False)
    firsts = pd.to_numeric(texts.str.extract(r"^\s*(\d{1,2})[/.-]")[0], errors="coerce")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas tells that it cannot tell the format
        try:
            dates = pd.to_datetime(texts, format="ISO8601", utc=True, errors="raise")
        except (ValueError, OverflowError):
            day_first = bool(firsts.max() > 12)
            dates = pd.to_datetime(texts, format="mixed", dayfirst=day_first, utc=True, errors="coerce")
    naive: pd.Series[Any] = dates.dt.tz_localize(None)
    return naive


def typed_texts(texts: "pd.Series[Any]", counts: Any, notes: list[str]) -> "pd.Series[Any]":
    """The different texts of a column, each with how often it comes, as booleans, numbers, dates or short texts."""
    lowered = set(texts.str.lower().str.strip()) if len(texts) <= 6 else set()
    for yes, no in BOOLEANS:
        if lowered == {yes, no}:
            return (texts.str.lower().str.strip() == yes).astype("boolean")
    sample = texts.iloc[:: max(1, len(texts) // 1000)]
    if not sample.str.fullmatch(r"0\d+").any():  # a code such as 00123 is no number
        for what, convert in (("number", as_numbers), ("date", as_dates)):
            likely = as_numbers(sample).notna() if what == "number" else sample.str.match(DATE)
            if likely.mean() < 0.5:
                continue
            values = convert(texts)
            lost = int(counts[values.isna().to_numpy()].sum())
            if lost <= 0.05 * counts.sum():
                if lost:
                    notes.append(
                        f"{texts.name}: {lost:,} of {counts.sum():,} values are no {what} and count as missing"
                    )
                return values
    return texts.str.slice(0, 200).str.replace(r"\s+", " ", regex=True)


def typed(column: "pd.Series[Any]", notes: list[str]) -> "pd.Series[Any]":
    """What a column of text really holds: booleans, numbers, dates."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        naive: pd.Series[Any] = column.dt.tz_convert("UTC").dt.tz_localize(None)
        return naive
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if not (pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)):
        return column.replace([np.inf, -np.inf], np.nan) if pd.api.types.is_float_dtype(column) else column
    filled = column.dropna()
    if filled.empty:
        return column
    if pd.api.types.is_object_dtype(column) and all(isinstance(v, bool) for v in filled):
        return column.astype("boolean")
    codes, unique = pd.factorize(filled.astype(str))  # each different text is looked at once
    values = typed_texts(pd.Series(unique, name=column.name, dtype=str), np.bincount(codes), notes)
    return pd.Series(values.array.take(codes), index=filled.index).reindex(column.index)


def tidy(frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    frame = frame.set_axis(tidy_names(list(frame.columns)), axis=1)
    return pd.DataFrame({name: typed(frame[name], notes) for name in frame.columns}, index=frame.index)


def stack(
    raw: "dict[tuple[str, str, str], pd.DataFrame]",
) -> "tuple[dict[str, pd.DataFrame], dict[str, list[str]]]":
    """Files of one name and the same columns become one table; copies of the same rows are left out."""
    groups: dict[tuple[str, ...], list[tuple[str, pd.DataFrame]]] = {}
    for (table, sheet, path), frame in raw.items():
        frame = frame.set_axis(tidy_names(list(frame.columns)), axis=1)
        groups.setdefault((table, sheet, *sorted(frame.columns)), []).append((path, frame))
    tables: dict[str, pd.DataFrame] = {}
    notes: dict[str, list[str]] = {}
    for (table, sheet, *_), members in groups.items():
        name = "_".join(re.findall(r"\w+", f"{table} {sheet}".strip()))
        name = name if name not in tables else f"{name}_{len(tables) + 1}"
        notes[name], seen, kept = [], set(), []
        for path, frame in members:
            digest = int(pd.util.hash_pandas_object(frame, index=False).sum()) if len(members) > 1 else 0
            if digest in seen and len(frame):
                notes[name].append(f"{path} is a copy of another file and was left out")
                continue
            seen.add(digest)
            kept.append(frame.assign(source_file=path) if len(members) > 1 else frame)
        full = [frame for frame in kept if len(frame)] or kept[:1]
        tables[name] = pd.concat(full, ignore_index=True) if len(full) > 1 else full[0].reset_index(drop=True)
        if len(members) > 1:
            notes[name].append(f"{len(full)} files of the same shape were stacked")
        if not len(tables[name]):
            notes[name].append("the file holds no rows")
    return tables, notes
