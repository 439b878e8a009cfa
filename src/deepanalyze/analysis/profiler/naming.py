"""Which files are read, and under which names their tables go."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Sequence

from deepanalyze.analysis.conversation import DataFile

READABLE = (
    ".csv",
    ".tsv",
    ".tab",
    ".txt",
    ".psv",
    ".json",
    ".jsonl",
    ".ndjson",
    ".parquet",
    ".pq",
    ".xlsx",
    ".xlsm",
    ".xls",
)
PACKED = re.compile(r"\.(gz|bz2|xz|zip)$", re.I)
OURS = re.compile(r"^(report(-\d+)?\.md$|figures/)")
PART = re.compile(  # what tells the parts of one table apart: numbers, months, hashes
    r"[-_. ]*\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,}"
    r"|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6})\b|[-_. ]*\d+",
    re.I,
)
SAYS_NOTHING = {"part", "parts", "data", "file", "export", "chunk", "page", "table", "output", "result"}
MAX_FILES = 2000


def readable(file: DataFile) -> bool:
    return PACKED.sub("", file.name).lower().endswith(READABLE) and not OURS.match(file.name)


def table_files(files: Iterable[DataFile]) -> dict[str, list[DataFile]]:
    """Files of one source that lie in one folder and whose names differ only in numbers go together under one name;
    what a query brought stays apart."""
    groups: dict[tuple[str, str], list[DataFile]] = {}
    for file in [f for f in files if readable(f)][:MAX_FILES]:
        pattern = file.name if file.sql else pattern_of(place_of(file))
        groups.setdefault((file.source or "", pattern), []).append(file)
    tables: dict[str, list[DataFile]] = {}
    for members in groups.values():
        name = identifier([place_of(f) for f in members])
        free = next(n for n in (name, *(f"{name}_{i}" for i in range(2, 10_000))) if n not in tables)
        tables[free] = sorted(members, key=lambda f: f.name)
    return tables


def place_of(file: DataFile) -> str:
    """Where it lies in its source, whose folders often say what `01.csv` in the workspace holds."""
    return file.path if file.path and file.path.rpartition("/")[2] else file.name


def pattern_of(name: str) -> str:
    folder, _, base = name.rpartition("/")
    stem = stem_of(base)
    folder = re.sub(r"=[^/]*", "=#", re.sub(r"\d+", "#", folder))
    return f"{folder}/{PART.sub('', stem)}{base[len(stem) :].lower()}"


def stem_of(base: str) -> str:
    plain = PACKED.sub("", base)
    return plain.rsplit(".", 1)[0] if "." in plain[1:] else plain


def identifier(names: Sequence[str]) -> str:
    """A word for the table: the file's own for a single one, the folder's or the common one for several."""
    folder, _, base = names[0].rpartition("/")
    stem = stem_of(base)
    outer = next((word for part in reversed(folder.split("/")) if (word := folder_word(part))), "")
    if len(names) == 1:
        named = re.search(r"[^\W\d_]", stem) or not outer
        return clean(stem if named else f"{outer} {stem}") or "table"
    common = clean(PART.sub("", stem))
    return (outer if not common or common in SAYS_NOTHING else "") or common or clean(stem) or "table"


def folder_word(part: str) -> str:
    """Nothing for folders that only cut the data up: `2013`, `month=01`."""
    return "" if "=" in part else clean(re.sub(r"\d+", "", part))


def clean(text: str) -> str:
    word = "_".join(re.findall(r"[^\W_]+", text.lower()))[:40]
    word = f"table_{word}" if word[:1].isdigit() else word
    return f"{word}_" if keyword.iskeyword(word) else word
