import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections import Counter
from pathlib import Path
from typing import IO, Any, cast

import pandas as pd

COMPRESSED = (".gz", ".bz2", ".xz", ".zip", ".zst")


def unpacked(path: Path) -> IO[bytes] | None:
    """Decompressed, whatever the name says: stores keep files compressed under their plain names. None for what is not
    compressed.
    """
    with path.open("rb") as stream:
        start = stream.read(10)
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow as pa

        return cast("IO[bytes]", pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
    openers: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
    opener = next((opens for magic, opens in openers.items() if start.startswith(magic)), None)
    if opener is None or (opener is bz2.open and start[4:] != b"1AY&SY"):  # text may begin with BZh too
        return None
    return cast("IO[bytes]", opener(path, "rb"))


def open_bytes(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".zip":
        archive = zipfile.ZipFile(path)
        return archive.open(archive.namelist()[0])
    return unpacked(path) or path.open("rb")


def encoding_of(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for encoding in ("utf-8-sig", "gb2312"):
        try:
            head[:-4].decode(encoding) if len(head) > 2**17 else head.decode(encoding)
        except UnicodeDecodeError as error:
            if error.end < len(head) - 8:
                continue
        return "gb18030" if encoding == "gb2312" else encoding
    return "cp1252"


def separator_of(text: str) -> str:
    lines = [line for line in text.splitlines()[:50] if line.strip()][:30]
    best, best_score = ",", 0.0
    for sep in (",", ";", "\t", "|"):
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=sep))
        width, same = widths.most_common(1)[0] if widths else (1, 0)
        score = (same / len(lines)) ** 2 * (width - 1) ** 0.5 if width > 1 else 0.0
        if score > best_score:
            best, best_score = sep, score
    return best


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_delimited(path: Path) -> pd.DataFrame:
    with open_bytes(path) as stream:
        head = stream.read(2**18)
    encoding = encoding_of(head)
    text = head.decode(encoding, errors="replace").replace("\0", "")
    if not text.strip():
        return pd.DataFrame()
    options: dict[str, Any] = {"sep": separator_of(text), "encoding": encoding, "encoding_errors": "replace"}
    sample = text if len(head) < 2**18 else text[: text.rfind("\n")]
    rows = list(csv.reader(io.StringIO(sample[: 2**17]), delimiter=options["sep"]))[:1000]
    names = next((row for row in rows if row), [])
    if names and all(is_number(cell) for cell in names):  # no header line
        options |= {"header": None, "names": [f"column_{i + 1}" for i in range(len(names))]}
    # codes such as 00123 stay text
    zeros = {i for row in rows for i, cell in enumerate(row) if cell[:1] == "0" and cell[1:].isdigit()}
    options["dtype"] = {options.get("names", names)[i]: str for i in zeros if i < len(names)}
    try:
        with open_bytes(path) as stream:
            frame: pd.DataFrame = pd.read_csv(stream, low_memory=False, index_col=False, **options)
    except pd.errors.ParserError:  # lines of different lengths
        with open_bytes(path) as stream:
            frame = pd.read_csv(stream, engine="python", on_bad_lines="skip", index_col=False, **options)
    return frame


def read_json(path: Path) -> pd.DataFrame:
    with open_bytes(path) as stream:
        text = stream.read().decode("utf-8-sig", errors="replace")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:  # one object a line
        value = [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(value, dict):
        lists = [v for v in value.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
        columns = value and all(isinstance(v, list | dict) for v in value.values())
        value = lists[0] if lists else (pd.DataFrame(value) if columns else [value])
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return pd.json_normalize(value, max_level=1)
    return value if isinstance(value, pd.DataFrame) else pd.DataFrame({"value": value})


def read_file(path: Path) -> dict[str, pd.DataFrame]:
    """Every table of one file; only a workbook has several."""
    kind = next(
        (s for s in reversed([s.lower() for s in path.suffixes]) if s not in COMPRESSED),
        "",
    )
    if kind in (".xlsx", ".xlsm", ".xls", ".parquet", ".pq"):  # read here and there, not from front to end
        packed = unpacked(path)
        source: Any = path if packed is None else io.BytesIO(packed.read())
        if kind in (".parquet", ".pq"):
            return {"": pd.read_parquet(source)}
        return {str(k): v for k, v in pd.read_excel(source, sheet_name=None).items() if len(v.columns)}
    return {"": read_json(path) if kind in (".json", ".jsonl", ".ndjson") else read_delimited(path)}
