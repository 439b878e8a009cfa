"""Takes a task as JSON in the first argument, and prints one JSON object."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .columns import Relation
from .failures import Failure, NeedsWhole, TooLarge, Unknown
from .formats import KNOWN, SIGNATURE_BYTES, TITLES, Compression, Format, Guess, guess

_SPILL_FACTOR = 4
_ENOUGH_BYTES = 16 * 1024**2  # of an unpacked text, for its first rows
_TYPED_ROWS = 2_000  # of a preview, to tell the types from


def main() -> None:
    """The task: the `file` in the working directory, its `name` in the source, the `action`, its `limit`, whether the
    file is `complete`, and `memory_bytes` and `max_bytes` that it may take and unpack to.
    """
    task = json.loads(sys.argv[1])
    _be_quiet()
    answer = _answer(task)
    sys.stdout.write(json.dumps(answer, ensure_ascii=True))
    sys.stdout.flush()
    os._exit(0)  # there is nothing to tidy up, and what a hostile file left behind might not let us


def _be_quiet() -> None:
    """From here on an end without an answer is the file's doing; what the libraries say of it is for nobody."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)


def _answer(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of what is packed the beginning is tried first: a few kilobytes may hold gigabytes."""
    file = Path.cwd() / task["file"]
    found = _guess(file, task["name"])
    enough = _ENOUGH_BYTES if task["action"] == "preview" and found.readable_from_head else None
    try:
        try:
            return _attempt(file, found, task, enough)
        except NeedsWhole:
            if not task["complete"] or found.compression is None or enough is None:
                raise
            return _attempt(file, found, task, None)
    except NeedsWhole:
        return {"error": "needs_whole"}


def _attempt(file: Path, found: Guess, task: Mapping[str, Any], enough: int | None) -> Mapping[str, Any]:
    what = found.format
    complete = task["complete"]
    try:
        if found.compression is not None:
            file, complete = _unpacked(file, found.compression, task, enough)
            found = _guess(file, task["name"])
            what = found.format
        if found.compression is not None:
            raise Unknown(f"is compressed more than once; tables are read from {KNOWN}")
        if what is None:
            raise Unknown(f"is {found.other or 'of no format that is known'}; tables are read from {KNOWN}")
        return _read(file, what, {**task, "complete": complete})
    except NeedsWhole:
        raise
    except MemoryError:
        memory = task["memory_bytes"] // 1024**2
        return _told(TooLarge(f"needs more than the {memory:,} MB of memory that reading may take"), what)
    except Failure as failure:
        return _told(failure, what)


def _told(failure: Failure, what: Format | None) -> Mapping[str, Any]:
    return {
        "error": failure.kind,
        "message": str(failure),
        "format": None if what is None else TITLES[what],
    }


def _unpacked(
    file: Path, compression: Compression, task: Mapping[str, Any], enough: int | None
) -> tuple[Path, bool]:
    from .unpacking import unpacked

    return unpacked(file, compression, max_bytes=task["max_bytes"], complete=task["complete"], enough=enough)


def _guess(file: Path, name: str) -> Guess:
    with file.open("rb") as opened:
        return guess(name, opened.read(SIGNATURE_BYTES))


def _read(file: Path, what: Format, task: Mapping[str, Any]) -> Mapping[str, Any]:
    complete = task["complete"]
    if not complete and not Guess(what).readable_from_head:
        raise NeedsWhole
    from . import answering
    from .engine import Engine

    engine = Engine(
        file.parent, memory_bytes=task["memory_bytes"] // 2, spill_bytes=_SPILL_FACTOR * task["max_bytes"]
    )
    relation = _relation(engine, file, what, task)
    if task["action"] == "statistics":
        return answering.statistics(engine, relation)
    return answering.preview(engine, relation, task["limit"], complete=complete)


def _relation(engine: Any, file: Path, what: Format, task: Mapping[str, Any]) -> Relation:
    """The libraries of the other formats are not even loaded."""
    complete, max_bytes = task["complete"], task["max_bytes"]
    if what == "parquet":
        from .parquet_files import parquet_relation

        return parquet_relation(engine, file)
    if what == "excel":
        from .excel_files import excel_relation

        max_rows = max(task["limit"] + 1, _TYPED_ROWS) if task["action"] == "preview" else None
        return excel_relation(engine, file, max_bytes=max_bytes, max_rows=max_rows)
    from .unpacking import as_utf8

    text = as_utf8(file, complete=complete, max_bytes=max_bytes)
    if what in ("csv", "tsv"):
        from .csv_files import csv_relation

        return csv_relation(engine, text, tabs=what == "tsv", complete=complete)
    from .json_files import json_relation

    return json_relation(engine, text, lines=what == "jsonl", complete=complete)
