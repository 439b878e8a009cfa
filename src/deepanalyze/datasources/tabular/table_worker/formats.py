"""Formats of tables: told by what a file begins with, and by its name where contents look alike."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Format = Literal["csv", "tsv", "json", "jsonl", "parquet", "excel"]
Compression = Literal["gzip", "zstd"]

KNOWN = "CSV, TSV, JSON, JSON Lines, Parquet and Excel (xlsx, xlsm, xlsb, xls, ods), as they are or in gzip or zstd"
TITLES: dict[Format, str] = {
    "csv": "CSV",
    "tsv": "TSV",
    "json": "JSON",
    "jsonl": "JSON Lines",
    "parquet": "Parquet",
    "excel": "Excel",
}
SIGNATURE_BYTES = 512  # enough for all of them

_COMPRESSIONS: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_BINARY: dict[bytes, Format] = {
    b"PAR1": "parquet",
    b"PK\x03\x04": "excel",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "excel",  # what came before zip
}
# Contents that are surely no table, whatever they are called.
_OTHERS: dict[bytes, str] = {
    b"%PDF": "a PDF document",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"GIF8": "an image",
    b"BZh91AY&SY": "compressed with bzip2",
    b"\xfd7zXZ\x00": "compressed with xz",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3\x00": "an SQLite database",
    b"\x7fELF": "a program",
    b"\x04\x22\x4d\x18": "compressed with lz4",
}
# These may begin a header too: they count only where what follows is no text.
_LIKE_TEXT = frozenset({b"PAR1", b"ORC", b"GIF8", b"ARROW1"})
_ENDINGS: dict[str, Format] = {
    "csv": "csv",
    "txt": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "json": "json",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "parquet": "parquet",
    "pq": "parquet",
    **dict.fromkeys(("xlsx", "xlsm", "xlsb", "xls", "ods"), "excel"),
}
_COMPRESSED_ENDINGS = frozenset({"gz", "gzip", "zst", "zstd"})
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_SPACE = b" \t\r\n\xef\xbb\xbf"
FROM_HEAD: frozenset[Format] = frozenset({"csv", "tsv", "jsonl"})


@dataclass(frozen=True, slots=True)
class Guess:
    """`format` is None where neither name nor contents tell it; `other` is what it surely is instead."""

    format: Format | None
    compression: Compression | None = None
    other: str | None = None

    @property
    def readable_from_head(self) -> bool:
        """Whether the first rows can be told from the beginning of the file."""
        return self.format in FROM_HEAD or self.format is None


def guess(name: str, beginning: bytes) -> Guess:
    """Contents win: what is called `.csv` may have been stored in gzip, or may be a workbook.

    A file whose name says nothing and whose contents are text is taken as CSV.
    """
    named = _named(name)
    for signature, compression in _COMPRESSIONS.items():
        if beginning.startswith(signature):  # what is within shows when it is unpacked
            return Guess(named, compression)
    for signature, format in _BINARY.items():
        if _begins(beginning, signature):
            return Guess(format)
    for signature, other in _OTHERS.items():
        if _begins(beginning, signature):
            return Guess(None, other=other)
    return Guess(named or _textual(beginning))


def _begins(beginning: bytes, signature: bytes) -> bool:
    if not beginning.startswith(signature):
        return False
    return signature not in _LIKE_TEXT or _CONTROL.search(beginning) is not None


def _named(name: str) -> Format | None:
    parts = name.rpartition("/")[2].lower().split(".")[1:]
    while parts and parts[-1] in _COMPRESSED_ENDINGS:
        parts.pop()
    return _ENDINGS.get(parts[-1]) if parts else None


def _textual(beginning: bytes) -> Format | None:
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "csv"
    if b"\x00" in beginning:
        return None
    return "json" if beginning.lstrip(_SPACE)[:1] in (b"{", b"[") else "csv"
