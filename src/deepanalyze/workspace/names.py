"""Names of files in a workspace: what is accepted from outside, and how a taken name is told apart."""

from __future__ import annotations

import mimetypes
import unicodedata

from deepanalyze.errors import InvalidRequest

_MAX_PART_BYTES = 200  # of 255, so that "-2" and the like still fit
_MAX_PARTS = 24
_DEFAULT_MIME_TYPE = "application/octet-stream"
_MIME_TYPES = {
    ".csv": "text/csv",
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".ndjson": "application/jsonl",
    ".parquet": "application/vnd.apache.parquet",
    ".py": "text/x-python",
    ".sql": "application/sql",
    ".svg": "image/svg+xml",
    ".tsv": "text/tab-separated-values",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
# The interpreter's own table only: the system's differs from machine to machine.
_STANDARD_TYPES = mimetypes.MimeTypes()


def safe_parts(name: str) -> list[str]:
    """The folders and the file that `name` stands for, made safe. Raises InvalidRequest when nothing safe is left.

    Blob names may hold anything; empty and `.` parts are dropped, control characters become `_`, and so does a
    leading dot, because hidden files are never shown.
    """
    parts = [_safe_part(part) for part in name.split("/") if part not in ("", ".")]
    if not parts or name.endswith("/"):
        raise InvalidRequest(f"file name {_shown(name)} names no file")
    if len(parts) > _MAX_PARTS:
        raise InvalidRequest(
            f"file name {_shown(name)} has {len(parts)} folders, at most {_MAX_PARTS} are allowed"
        )
    return parts


def _safe_part(part: str) -> str:
    if part == "..":
        raise InvalidRequest("a file name must not contain the folder '..'")
    text = unicodedata.normalize("NFC", part)
    text = "".join("_" if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)
    if text.startswith("."):
        text = "_" + text[1:]
    return _shortened(text)


def _shortened(part: str) -> str:
    if len(part.encode()) <= _MAX_PART_BYTES:
        return part
    stem, ext = split_extension(part)
    if len(ext.encode()) > 20:
        stem, ext = part, ""
    room = _MAX_PART_BYTES - len(ext.encode())
    return stem.encode()[:room].decode(errors="ignore") + ext


def split_extension(part: str) -> tuple[str, str]:
    """`sales.csv` → (`sales`, `.csv`); a leading dot starts no extension."""
    stem, dot, ext = part.rpartition(".")
    return (stem, dot + ext) if stem and dot else (part, "")


def numbered(part: str, number: int) -> str:
    """The `number`-th try of a name: `a.csv`, `a-2.csv`, `a-3.csv` …"""
    if number == 1:
        return part
    stem, ext = split_extension(part)
    return f"{stem}-{number}{ext}"


def is_plain(name: str) -> bool:
    """Whether `name` could be the name of a listed file: relative, nothing hidden, nothing that is no line of text (a
    route's path ends at a line break).
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return not {"\0", "\n"} & set(name) and all(part and not part.startswith(".") for part in name.split("/"))


def mime_type(name: str) -> str:
    extension = split_extension(name.rpartition("/")[2])[1].lower()
    return _MIME_TYPES.get(extension) or _STANDARD_TYPES.guess_type("x" + extension)[0] or _DEFAULT_MIME_TYPE


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:79] + "…")
