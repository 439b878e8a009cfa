"""Excel workbooks and OpenDocument sheets: the first visible sheet that holds anything."""

from __future__ import annotations

import datetime
import itertools
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from .columns import Column, Relation, check_count, distinct_names
from .csv_files import load
from .dialect import is_header
from .engine import Engine, name
from .failures import TooLarge, Unreadable

_MAX_INTRODUCTION = 20  # rows in which titles above the table are looked for

Row = Sequence[Any]


def excel_relation(engine: Engine, file: Path, *, max_bytes: int, max_rows: int | None) -> Relation:
    """`max_rows`: below the header, where not all are needed."""
    _check_size(file, max_bytes)
    rows = iter(_first_table(file))
    beginning = list(itertools.islice(rows, _MAX_INTRODUCTION))
    beginning = beginning[_start(beginning) :]
    if not beginning:
        return Relation("(SELECT 1 WHERE false)", ())
    width = len(beginning[0])
    first, *following = ([_text(value) for value in row] for row in beginning)
    header = is_header(first, following[0] if following else None)
    titles = distinct_names(first if header else [""] * width)
    below = itertools.islice(itertools.chain(beginning[header:], rows), max_rows)
    texts = file.with_name("sheet")
    kinds = _write(texts, below, width)
    load(engine, texts, ",", width=width)
    return Relation("data", [_column(place, title, kinds[place]) for place, title in enumerate(titles)])


def _check_size(file: Path, max_bytes: int) -> None:
    """What a workbook unpacks to is known before it is, by what the archive says of itself, which is not to be
    trusted: the process's limit of memory stands behind it.
    """
    if not zipfile.is_zipfile(file):
        return
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(member.file_size for member in archive.infolist())
            names = {member.filename for member in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise Unreadable(f"its archive is damaged ({error})") from None
    if not names & {"xl/workbook.xml", "xl/workbook.bin", "content.xml"}:
        raise Unreadable("it is an archive, but not of a workbook; unpack it first")
    if size > max_bytes:
        raise TooLarge(
            f"unpacks to {size:,} bytes, more than the limit of {max_bytes:,}; store it in smaller files"
        )


def _first_table(file: Path) -> Iterable[Row]:
    try:
        with CalamineWorkbook.from_path(file) as workbook:
            for sheet in workbook.sheets_metadata:
                if sheet.visible != SheetVisibleEnum.Visible or sheet.typ != SheetTypeEnum.WorkSheet:
                    continue
                found = workbook.get_sheet_by_name(sheet.name)
                if found.start is not None:
                    return _rows(found)
    except PasswordError:
        raise Unreadable("it is protected by a password; store it without one") from None
    except CalamineError as error:
        raise Unreadable(f"it is damaged ({error})") from None
    return ()


def _rows(sheet: CalamineSheet) -> Iterator[Row]:
    """Those that hold anything, without the empty columns before the first."""
    assert sheet.start is not None
    check_count(sheet.width)
    for row in sheet.iter_rows():
        if any(value != "" for value in row):
            yield row[-sheet.width :]


def _start(rows: Sequence[Row]) -> int:
    """Titles stand alone in rows above the table."""
    for place, row in enumerate(rows):
        if sum(value != "" for value in row) > 1:
            return place
    return 0


def _write(target: Path, rows: Iterable[Row], width: int) -> list[set[str]]:
    """Writes the values as texts, and tells which kinds each column holds."""
    kinds: list[set[str]] = [set() for _ in range(width)]
    with target.open("w", encoding="utf-8", errors="replace", newline="") as file:
        for row in rows:
            cells = []
            for place, value in enumerate(row[:width]):
                if value == "":
                    cells.append("")
                    continue
                kinds[place].add(_kind(value))
                cells.append('"' + _text(value).replace('"', '""') + '"')
            file.write(",".join(cells) + "\n")
    return kinds


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, (int, float)):
        return "BIGINT" if float(value).is_integer() and abs(value) < 2**63 else "DOUBLE"
    if isinstance(value, datetime.datetime):
        return "TIMESTAMP" if value.time() != datetime.time() else "DATE"
    if isinstance(value, datetime.date):
        return "DATE"
    if isinstance(value, datetime.time):
        return "TIME"
    return "INTERVAL" if isinstance(value, datetime.timedelta) else "VARCHAR"


_TOGETHER = {
    frozenset({"BIGINT", "DOUBLE"}): "DOUBLE",
    frozenset({"DATE", "TIMESTAMP"}): "TIMESTAMP",
    frozenset({"TIME", "INTERVAL"}): "INTERVAL",
}


def _column(place: int, title: str, kinds: set[str]) -> Column:
    text = name(f"c{place}")
    type = next(iter(kinds)) if len(kinds) == 1 else _TOGETHER.get(frozenset(kinds), "VARCHAR")
    if type == "VARCHAR":
        return Column(title, type, text, text, from_text=True)
    return Column(title, type, text, f"TRY_CAST({text} AS {type})", from_text=True)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**63 else repr(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ") if value.time() != datetime.time() else value.date().isoformat()
    if isinstance(value, datetime.timedelta):
        seconds = value.days * 86_400 + value.seconds
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else str(value)
