"""CSV and TSV. Every value is read as text first; types come after that."""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

import io
import itertools
from pathlib import Path

from .columns import Column, Relation, check_count, distinct_names
from .dialect import Dialect, dialect_of
from .engine import Engine, name, quoted
from .failures import NeedsWhole, Unreadable
from .typing_text import ANY_TYPE, typed

_SAMPLE_BYTES = 256 * 1024
_MAX_LINE_BYTES = 16 * 1024**2
_SURPLUS = "surplus"


def csv_relation(engine: Engine, file: Path, *, tabs: bool, complete: bool) -> Relation:
    sample = _sample(file, complete)
    dialect = dialect_of(sample, "\t" if tabs else None)
    if dialect is None:
        return Relation("(SELECT 1 WHERE false)", ())
    check_count(dialect.width)
    skip = dialect.skip + (0 if dialect.header is None else _lines_of_header(sample, dialect))
    load(engine, file, dialect.delimiter, skip=skip, width=dialect.width)
    header = [*(dialect.header or ()), *[""] * dialect.width][: dialect.width]
    return text_relation(engine, distinct_names(header))


def load(engine: Engine, file: Path, delimiter: str, *, skip: int, width: int) -> None:
    """Makes the table `data` of texts `c0`, `c1` … An empty text is there only where the file quotes it."""
    names = [*(f"c{place}" for place in range(width)), _SURPLUS]
    columns = ", ".join(f"{quoted(one)}: 'VARCHAR'" for one in names)
    engine.rows(
        f"CREATE TABLE data AS SELECT * FROM read_csv({quoted(str(file))}, auto_detect = false, "
        f"delim = {quoted(delimiter)}, quote = '\"', escape = '\"', header = false, skip = {skip}, "
        f"columns = {{{columns}}}, null_padding = true, strict_mode = false, parallel = false, "
        f"nullstr = '', allow_quoted_nulls = false, max_line_size = {_MAX_LINE_BYTES})"
    )
    [(surplus,)] = engine.rows(f"SELECT min(rowid) FROM data WHERE {_SURPLUS} IS NOT NULL")
    if surplus is not None:
        raise Unreadable(
            f"record {surplus + 1:,} below the header has more values than the {width} columns of those above it"
        )


def text_relation(engine: Engine, titles: list[str]) -> Relation:
    described = [(title, name(f"c{place}"), ANY_TYPE) for place, title in enumerate(titles)]
    columns: list[Column] = typed(engine, "data", described, missing=True)
    return Relation("data", columns)


def _sample(file: Path, complete: bool) -> str:
    with file.open("rb") as opened:
        sample = opened.read(_SAMPLE_BYTES)
        whole = not opened.read(1)
    if b"\x00" in sample:
        raise Unreadable("it holds NUL bytes, so it is no text")
    if not whole:
        end = max(sample.rfind(b"\n"), sample.rfind(b"\r")) + 1
        sample = sample[:end] or sample
    if not sample and not complete:
        raise NeedsWhole
    return sample.decode("utf-8", "replace")


def _lines_of_header(sample: str, dialect: Dialect) -> int:
    """A header may take several lines, in quotes."""
    lines = itertools.islice(io.StringIO(sample, newline=""), dialect.skip, None)
    count = quotes = 0
    for line in lines:
        count += 1
        quotes += line.count('"')
        if quotes % 2 == 0 and line.strip():
            break
    return count
