"""CSV and TSV. Every value is read as text first; types come after that."""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

import io
import itertools
import shutil
from pathlib import Path

from .columns import Relation, check_count, distinct_names
from .dialect import dialect_of
from .engine import Engine, name, quoted
from .failures import NeedsWhole, Unreadable
from .typing_text import TextColumn, typed

_SAMPLE_BYTES = 256 * 1024
_MAX_LINE_BYTES = 16 * 1024**2
_COPIED_BYTES = 1024**2
_SURPLUS = "surplus"


def csv_relation(engine: Engine, file: Path, *, tabs: bool, complete: bool) -> Relation:
    sample = _sample(file, complete)
    dialect = dialect_of(sample, "\t" if tabs else None)
    if dialect is None:
        return Relation("(SELECT 1 WHERE false)", ())
    check_count(dialect.width)
    rows = _below(file, sample, dialect.skip)
    load(engine, rows, dialect.delimiter, width=dialect.width, complete=complete)
    header = [*(dialect.header or ()), *[""] * dialect.width][: dialect.width]
    titles = distinct_names(header)
    texts = [TextColumn(title, name(f"c{place}")) for place, title in enumerate(titles)]
    return Relation("data", typed(engine, "data", texts))


def load(engine: Engine, file: Path, delimiter: str, *, width: int, complete: bool = True) -> None:
    """Makes the table `data` of texts `c0`, `c1` … An empty text is there only where the file quotes it. The last
    record of an incomplete file may go on after the file's end.
    """
    names = [*(f"c{place}" for place in range(width)), _SURPLUS]
    columns = ", ".join(f"{quoted(one)}: 'VARCHAR'" for one in names)
    engine.rows(
        f"CREATE TABLE data AS SELECT * FROM read_csv({quoted(str(file))}, auto_detect = false, "
        f"delim = {quoted(delimiter)}, quote = '\"', escape = '\"', header = false, "
        f"columns = {{{columns}}}, null_padding = true, strict_mode = false, parallel = false, "
        f"nullstr = '', allow_quoted_nulls = false, max_line_size = {_MAX_LINE_BYTES})"
    )
    if not complete:
        engine.rows("DELETE FROM data WHERE rowid = (SELECT max(rowid) FROM data)")
    [(surplus,)] = engine.rows(f"SELECT min(rowid) FROM data WHERE {_SURPLUS} IS NOT NULL")
    if surplus is not None:
        raise Unreadable(
            f"record {surplus + 1:,} below the header has more values than the {width} columns of those above it"
        )


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


def _below(file: Path, sample: str, lines: int) -> Path:
    """The file without its first lines; DuckDB's own `skip` counts otherwise where they hold quotes."""
    skipped = itertools.islice(io.StringIO(sample, newline=""), lines)
    start = sum(len(line.encode()) for line in skipped)
    if start == 0:
        return file
    rows = file.with_name("rows")
    with file.open("rb") as source, rows.open("wb") as target:
        source.seek(start)
        shutil.copyfileobj(source, target, _COPIED_BYTES)
    return rows
