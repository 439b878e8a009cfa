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
MAX_FILES = 2000


def readable(file: DataFile) -> bool:
    return PACKED.sub("", file.name).lower().endswith(READABLE) and not OURS.match(file.name)


def table_files(files: Iterable[DataFile]) -> dict[str, list[DataFile]]:
    """Files whose names differ only in numbers (or that lie in one folder) go together under one name; what a query
    brought stays apart."""
    groups: dict[str, list[DataFile]] = {}
    for file in [f for f in files if readable(f)][:MAX_FILES]:
        groups.setdefault(file.name if file.sql else pattern_of(file.name), []).append(file)
    tables: dict[str, list[DataFile]] = {}
    for members in groups.values():
        name = identifier([f.name for f in members])
        free = next(n for n in (name, *(f"{name}_{i}" for i in range(2, 10_000))) if n not in tables)
        tables[free] = sorted(members, key=lambda f: f.name)
    return tables


def pattern_of(name: str) -> str:
    folder, _, base = name.rpartition("/")
    suffix = base[len(stem_of(base)) :].lower()
    if folder:
        return re.sub(r"\d+", "#", folder) + "/" + suffix
    return re.sub(r"[-_. ]*\d+", "", stem_of(base)) + suffix


def stem_of(base: str) -> str:
    plain = PACKED.sub("", base)
    return plain.rsplit(".", 1)[0] if "." in plain[1:] else plain


def identifier(names: Sequence[str]) -> str:
    """A word for the table: the file's own for a single one, the folder's or the common one for several."""
    folder, _, base = names[0].rpartition("/")
    own = clean(stem_of(base))
    if len(names) > 1 or not own:
        outer = [c for c in (clean(re.sub(r"\d+", "", part)) for part in reversed(folder.split("/"))) if c]
        own = (outer or [clean(re.sub(r"\d+", "", own))])[0]
    return own or "table"


def clean(text: str) -> str:
    word = "_".join(re.findall(r"[^\W_]+", text.lower()))[:40]
    word = f"table_{word}" if word[:1].isdigit() else word
    return f"{word}_" if keyword.iskeyword(word) else word
