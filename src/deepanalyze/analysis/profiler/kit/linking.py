from itertools import combinations
from typing import Any

import pandas as pd

KEYS = ("id", "category", "calendar", "date", "number", "constant", "clock", "text")


def family(column: "pd.Series[Any]") -> str:
    if pd.api.types.is_datetime64_any_dtype(column):
        return "date"
    return "number" if pd.api.types.is_numeric_dtype(column) else "text"


def matched(many: pd.DataFrame, one: pd.DataFrame, on: list[tuple[str, str]]) -> tuple[int, int]:
    """Rows of `many` that find a partner in `one`, and rows that have a key at all."""
    left = many[[a for a, _ in on]].dropna()
    right = one[[b for _, b in on]].dropna().drop_duplicates()
    right.columns = left.columns
    counts = left.value_counts().rename("n").reset_index()
    return int(counts.merge(right, on=list(left.columns))["n"].sum()), len(left)


def is_key(one: pd.DataFrame, columns: list[str]) -> bool:
    """Nearly: a handful of repeated keys (a clock set back) is told and the first one kept."""
    some = one[columns].head(len(one) // 8).dropna()
    if some.duplicated().sum() > 0.005 * len(one):  # already more than the whole may have
        return False
    filled = one[columns].dropna()
    return len(filled) > 1 and len(filled.drop_duplicates()) >= 0.995 * len(filled) >= 0.5 * len(one)


def smallest_keys(one: pd.DataFrame, shared: list[str]) -> list[list[str]]:
    """All minimal sets of up to five columns that tell the rows of `one` apart."""
    found: list[list[str]] = []
    if not shared or not is_key(one, shared):
        return found
    for size in range(1, min(5, len(shared)) + 1):
        for columns in combinations(shared, size):
            if not any(set(key) <= set(columns) for key in found) and is_key(one, list(columns)):
                found.append(list(columns))
    return found


def candidate_keys(
    many: pd.DataFrame, one: pd.DataFrame, kinds: dict[str, str], other: dict[str, str], one_name: str
) -> list[list[tuple[str, str]]]:
    usable = [str(c) for c in one if other[str(c)] in KEYS and c != "source_file"]
    shared = [c for c in usable if c in many and kinds[c] in KEYS and family(many[c]) == family(one[c])]
    shared = [c for c in shared if not (kinds[c] == other[c] == "number" and many[c].dtype.kind == "f")]
    result = [[(c, c) for c in key] for key in smallest_keys(one, shared[:9])]
    single = one_name.lower().rstrip("s")
    for b in (c for c in usable if other[c] in ("id", "category", "text") and is_key(one, [c])):
        values = set(one[b].dropna())
        for a in (str(c) for c in many if c != b and kinds[str(c)] in ("id", "category", "number")):
            if family(many[a]) != family(one[b]):
                continue
            named = a.lower() in (f"{single}_{b}".lower(), f"{single}{b}".lower(), f"{single}_id", single)
            sample = set(many[a].dropna().unique()[:1000])
            if (
                sample
                and (named or family(one[b]) == "text")
                and len(sample & values) >= 0.8 * len(sample) > 1
            ):
                result.append([(a, b)])
    return result


def links(tables: dict[str, pd.DataFrame], kinds: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    """Ways to look rows of `one` up from rows of `many`, the most complete first."""
    found: list[dict[str, Any]] = []
    for many, one in (
        (m, o) for m in tables for o in tables if m != o and len(tables[o]) > 1 and len(tables[m])
    ):
        for on in candidate_keys(tables[many], tables[one], kinds[many], kinds[one], one):
            rows, keyed = matched(tables[many], tables[one], on)
            repeated = int(tables[one].dropna(subset=[b for _, b in on]).duplicated([b for _, b in on]).sum())
            if rows >= 0.3 * keyed > 0:
                found.append(
                    {
                        "many": many,
                        "one": one,
                        "on": on,
                        "matched": rows,
                        "of": len(tables[many]),
                        "repeated": repeated,
                    }
                )
    return sorted(found, key=lambda link: (-link["matched"] / link["of"], len(link["on"])))[:12]


def values_in(
    question: str, tables: dict[str, pd.DataFrame], kinds: dict[str, dict[str, str]]
) -> list[list[Any]]:
    """Values of the data that the question names, for conditions such as "to LAX"."""
    plain = " " + " ".join("".join(c if c.isalnum() else " " for c in question.lower()).split()) + " "
    exact = set("".join(c if c.isalnum() else " " for c in question).split())
    hits: list[list[Any]] = []
    for table, frame in tables.items():
        texts = [c for c in map(str, frame) if kinds[table][c] in ("category", "id", "text")]
        for name in (c for c in texts if family(frame[c]) == "text"):
            for value, rows in frame[name].value_counts().head(5000).items():
                if len(str(value)) > 60:
                    continue
                text = " ".join("".join(c if c.isalnum() else " " for c in str(value)).split())
                short = len(text) <= 3 and text.isascii()
                named = f" {text.lower()} " in plain or (not text.isascii() and text in question)
                if (text in exact and not text.islower()) if short else named:
                    hits.append([table, name, str(value), int(rows)])
    return sorted(hits, key=lambda hit: -len(hit[2]))[:12]
