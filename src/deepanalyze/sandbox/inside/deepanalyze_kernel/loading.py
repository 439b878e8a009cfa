"""`load`: a fetched file with the types and values that the database had."""

from __future__ import annotations

import difflib
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

_NOTES = ".deepanalyze"
_READERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".csv": ("read_csv", {}),
    ".json": ("read_json", {}),
    ".jsonl": ("read_json", {"lines": True}),
    ".ndjson": ("read_json", {"lines": True}),
    ".parquet": ("read_parquet", {}),
    ".tsv": ("read_table", {}),
    ".xls": ("read_excel", {}),
    ".xlsx": ("read_excel", {"engine": "openpyxl"}),
}
_COMPRESSED = (".gz", ".zst")
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


def load(name: str | os.PathLike[str], *, decimals: Literal["exact", "float"] = "exact") -> pd.DataFrame:
    """A file of this directory as a DataFrame.

    What came from a database gets its types back: NULL and the empty text stay apart, whole numbers stay whole
    (`Int64` beside NULLs, `Float64` where NULL and NaN meet), times get their zone (UTC), arrays become lists, `bytea`
    bytes. Exact numbers become `decimal.Decimal`, or floats with `decimals="float"`. What pandas has no type for
    (times of day, JSON, ranges, and columns with infinite dates, those before Christ or intervals with months) stays
    text. Other files are read by their ending, as pandas reads them.

    Raises FileNotFoundError with the nearest names.
    """
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(_missing(str(name)))
    note = _note(path)
    if note is not None and note.get("columns") and note.get("format") in ("csv", "parquet"):
        from . import typed

        read = typed.read_csv if note["format"] == "csv" else typed.read_parquet
        frame = read(path, note["columns"], decimals)
        frame.attrs.update(truncated=note.get("truncated"), source=note.get("source"), sql=note.get("sql"))
        return frame
    return _plain(path)


def _note(path: Path) -> dict[str, Any] | None:
    """What the server noted when it fetched the file, unless code has changed the file since.

    The notes lie in the directory that files are fetched into, which code need not be in.
    """
    file = path.resolve()
    for directory in file.parents:
        try:
            text = (directory / _NOTES / f"{file.relative_to(directory)}.json").read_text("utf-8")
            note: dict[str, Any] = json.loads(text)
            return note if note.get("bytes") == file.stat().st_size else None
        except OSError:
            continue
        except (ValueError, AttributeError):  # no note of the server's
            return None
    return None


def _plain(path: Path) -> pd.DataFrame:
    import pandas as pd

    compression = _compression(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] in _COMPRESSED else path.suffix.lower()
    known_reader = _READERS.get(kind)
    if known_reader is None:
        known = ", ".join(sorted(_READERS))
        raise ValueError(f"{path} is no table that load() knows ({known}); open it with a reader of its own")
    reader, options = known_reader
    if compression is None:
        frame: pd.DataFrame = getattr(pd, reader)(path, **options)
    else:
        import pyarrow as pa

        with pa.OSFile(str(path)) as packed, pa.CompressedInputStream(packed, compression) as stream:
            # Parquet and workbooks are read here and there, not from front to end.
            source = io.BytesIO(stream.read()) if reader in ("read_parquet", "read_excel") else stream
            frame = getattr(pd, reader)(source, **options)
    return frame


def _compression(path: Path) -> str | None:
    """By its first bytes: blobs may be compressed without their names saying so."""
    with path.open("rb") as file:
        start = file.read(4)
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)


def _missing(name: str) -> str:
    there = sorted(
        str(path)
        for path in Path().rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.parts)
    )
    near = difflib.get_close_matches(name, there, n=3, cutoff=0.4) or there[:10]
    return f"there is no file {name!r} here; there is {', '.join(map(repr, near)) or 'none at all'}"
