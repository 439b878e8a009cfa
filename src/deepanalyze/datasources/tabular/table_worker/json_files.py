"""JSON and JSON Lines: a row for each object, a column for each key that any of them has."""
# ruff: noqa: S608 - what is composed here is our own text, and names quoted by SQL's rules

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .columns import Column, Relation, check_count
from .engine import Engine, name, quoted
from .failures import NeedsWhole, TooLarge, Unreadable
from .typing_text import NUMBERS, TEMPORAL, TextColumn, typed

_MAX_RECORD_BYTES = 32 * 1024**2
_MAX_DOCUMENT_BYTES = 64 * 1024**2  # read as a whole it takes some ten times as much memory
_SPACE = b" \t\r\n"
_KINDS: Mapping[frozenset[str], str] = {
    frozenset({"BOOLEAN"}): "BOOLEAN",
    frozenset({"VARCHAR"}): "text",
    **dict.fromkeys(
        (
            frozenset({"UBIGINT"}),
            frozenset({"BIGINT"}),
            frozenset({"DOUBLE"}),
            frozenset({"BIGINT", "UBIGINT"}),
            frozenset({"BIGINT", "DOUBLE"}),
            frozenset({"UBIGINT", "DOUBLE"}),
            frozenset({"BIGINT", "UBIGINT", "DOUBLE"}),
        ),
        "number",
    ),
}


def json_relation(engine: Engine, file: Path, *, lines: bool, complete: bool) -> Relation:
    with file.open("rb") as opened:
        beginning = opened.read(_MAX_RECORD_BYTES)
    if not beginning.strip(_SPACE):
        if not complete:
            raise NeedsWhole
        return Relation("(SELECT 1 WHERE false)", ())
    shape = "newline_delimited" if lines or _is_lines(beginning) else _shape(beginning)
    if shape == "document":
        file = _as_lines(file)
        shape = "newline_delimited"
    return _relation(engine, file, shape)


def _is_lines(beginning: bytes) -> bool:
    """Two lines, each of them an object."""
    lines = [line for line in beginning.split(b"\n", 3)[:2] if line.strip(_SPACE)]
    return len(lines) == 2 and all(_is_object(line) for line in lines)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _shape(beginning: bytes) -> str:
    first = beginning.lstrip(_SPACE)[:1]
    if first == b"[":
        return "array"
    if first != b"{":
        raise Unreadable("it begins neither with an object nor with a list")
    return "document"


def _as_lines(file: Path) -> Path:
    """One document, or several, as a line for each row."""
    size = file.stat().st_size
    if size > _MAX_DOCUMENT_BYTES:
        raise TooLarge(
            f"is one object of {size:,} bytes, more than the {_MAX_DOCUMENT_BYTES:,} that are read at once; "
            "store it as JSON Lines or as a list of objects"
        )
    documents = _documents(file.read_text("utf-8", "replace"))
    rows = _rows(documents[0]) if len(documents) == 1 else documents
    target = file.with_name("lines")
    with target.open("w", encoding="utf-8", errors="replace") as written:
        for row in rows:
            written.write(json.dumps(row, ensure_ascii=False) + "\n")
    return target


def _documents(text: str) -> list[Any]:
    decoder = json.JSONDecoder()
    found: list[Any] = []
    place = 0
    try:
        while place < len(text):
            if text[place].isspace():
                place += 1
                continue
            document, place = decoder.raw_decode(text, place)
            found.append(document)
    except json.JSONDecodeError as error:
        raise Unreadable(f"it is not valid JSON in line {error.lineno:,} ({error.msg})") from None
    except RecursionError:
        raise Unreadable("its objects lie too deep within each other") from None
    return found


def _rows(document: Any) -> list[Any]:
    """The shapes that pandas and web services write."""
    if not isinstance(document, dict) or not document:
        return [document] if document else []
    values = list(document.values())
    if document.keys() == {"columns", "index", "data"}:
        return [dict(zip(map(str, document["columns"]), row, strict=False)) for row in document["data"]]
    if all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1:
        if len(values) == 1 and all(isinstance(one, dict) for one in values[0]):
            return list(values[0])
        return [dict(zip(document, row, strict=True)) for row in zip(*values, strict=True)]
    lists = [v for v in values if isinstance(v, list) and v and all(isinstance(one, dict) for one in v)]
    if len(lists) == 1:
        return list(lists[0])
    if all(isinstance(value, dict) for value in values):
        return _rows_of_objects(document)
    return [document]


def _rows_of_objects(document: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    """Columns by name with their values by number, or rows by name."""
    keys = [key for inner in document.values() for key in inner]
    if keys and all(key.isdecimal() for key in keys):
        numbers = sorted(set(keys), key=int)
        return [{title: inner.get(number) for title, inner in document.items()} for number in numbers]
    return [{"key": key, **inner} for key, inner in document.items()]


def _relation(engine: Engine, file: Path, shape: str) -> Relation:
    relation = (
        f"read_json({quoted(str(file))}, format = {quoted(shape)}, sample_size = -1, maximum_depth = 1, "
        f"map_inference_threshold = -1, maximum_object_size = {_MAX_RECORD_BYTES})"
    )
    engine.rows(f"CREATE TABLE data AS SELECT * FROM {relation}")
    described = engine.columns("data")
    [(empty,)] = engine.rows("SELECT count(*) = 0 FROM data")
    if empty:
        return Relation("data", ())
    check_count(len(described))
    kinds = _kinds(engine, [title for title, _ in described])
    texts = [_text_column(title, kind) for (title, _), kind in zip(described, kinds, strict=True)]
    found = typed(engine, "data", texts)
    return Relation("data", [_finished(*pair) for pair in zip(found, kinds, strict=True)])


def _kinds(engine: Engine, titles: list[str]) -> list[str]:
    asked = ", ".join(
        f"list(DISTINCT json_type(CAST({name(t)} AS JSON))) FILTER (WHERE json_type(CAST({name(t)} AS JSON)) <> 'NULL')"
        for t in titles
    )
    [answers] = engine.rows(f"SELECT {asked} FROM data")
    return ["nothing" if not types else _KINDS.get(frozenset(types), "nested") for types in answers]


def _text_column(title: str, kind: str) -> TextColumn:
    given = f"CAST({name(title)} AS JSON)"
    if kind == "text":
        return TextColumn(title, f"({given} ->> '$')", TEMPORAL)
    if kind == "number":
        return TextColumn(title, f"CAST({given} AS VARCHAR)", NUMBERS)
    return TextColumn(
        title, f"(CASE WHEN json_type({given}) <> 'NULL' THEN CAST({given} AS VARCHAR) END)", ()
    )


def _finished(column: Column, kind: str) -> Column:
    if kind == "BOOLEAN":
        return Column(column.name, "BOOLEAN", column.text, f"CAST({column.text} AS BOOLEAN)")
    if kind in ("nested", "nothing"):
        return Column(column.name, "JSON", column.text, column.text)
    return column
