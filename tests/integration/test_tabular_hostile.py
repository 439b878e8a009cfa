"""Files made to hurt whoever reads them: each ends in an error that says what is wrong, and in time."""

from __future__ import annotations

import gzip
import io
import os
import random
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deepanalyze.datasources import SourceDefaults, Timeouts
from deepanalyze.errors import DeepAnalyzeError, FileTooLarge, InvalidRequest, NotSupported
from tests.support.file_sources import FolderSource

MILLION = 1_000_000


def zeros_in_gzip(gigabytes: float) -> bytes:
    part = gzip.compress(b"1,2\n" * (MILLION // 4), 9)
    return part * round(gigabytes * 1000)  # members follow each other


def parquet() -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(1000)), "b": [f"x{n}" for n in range(1000)]}), written)
    return written.getvalue()


def workbook(sheet: Callable[[bytes], bytes] = lambda xml: xml, declared: int | None = None) -> bytes:
    """A small workbook with its sheet changed, and perhaps lies about how large it is."""
    book = openpyxl.Workbook()
    active = book.active
    assert active is not None
    active.append(["a", "b"])
    active.append([1, 2])
    plain, changed = io.BytesIO(), io.BytesIO()
    book.save(plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, sheet(content) if name == "xl/worksheets/sheet1.xml" else content)
    data = bytearray(changed.getvalue())
    place = 0
    while declared is not None and (place := data.find(b"PK\x01\x02", place)) >= 0:
        data[place + 24 : place + 28] = struct.pack("<I", declared)
        place += 4
    return bytes(data)


def far_apart() -> bytes:
    book = openpyxl.Workbook()
    active = book.active
    assert active is not None
    active["A1"], active["XFD1048576"] = "x", 1
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def long_tail(xml: bytes) -> bytes:
    return xml.replace(b"</sheetData>", b"</sheetData>" + b" " * (30 * MILLION))


def laughs(xml: bytes) -> bytes:
    """Entities of entities: ten to the ninth of them."""
    entities = b"".join(
        b'<!ENTITY l%d "%s">' % (n, (b"&l%d;" % (n - 1) if n else b"lol") * 10) for n in range(10)
    )
    document = b"<!DOCTYPE l [" + entities + b"]>" + xml
    return document.replace(b"<v>1</v>", b"<v>&l9;</v>")


Hostile = tuple[str, Callable[[], bytes], type[DeepAnalyzeError], str]
FILES: Mapping[str, Hostile] = {
    "a bomb in gzip": ("a.csv.gz", lambda: zeros_in_gzip(1.2), FileTooLarge, "unpacks to more than the limit"),
    "packed twice": ("a.csv.gz", lambda: gzip.compress(gzip.compress(b"a\n")), NotSupported, "more than once"),
    "half a gzip": ("a.csv.gz", lambda: gzip.compress(os.urandom(9999))[:-99], InvalidRequest, "ends too early"),
    "no gzip": ("a.csv.gz", lambda: b"\x1f\x8b" + b"x" * 99, InvalidRequest, "damaged"),
    "half a zstd": (
        "a.csv.zst",
        lambda: bytes(pa.compress(os.urandom(9999), codec="zstd", asbytes=True))[:-99],
        InvalidRequest,
        "damaged",
    ),
    "a bomb in xlsx": ("a.xlsx", lambda: workbook(declared=2**31), FileTooLarge, "unpacks to"),
    "a lying bomb": ("a.xlsx", lambda: workbook(long_tail, declared=1000), InvalidRequest, "damaged"),
    "cells far apart": ("a.xlsx", far_apart, InvalidRequest, "memory"),
    "another archive": ("a.xlsx", lambda: zipped({"a.txt": b"x"}), InvalidRequest, "not of a workbook"),
    "no workbook": ("a.xlsx", lambda: b"PK\x03\x04" + os.urandom(500), InvalidRequest, "Excel"),
    "deep lists": ("a.json", lambda: b"[" * MILLION, InvalidRequest, "JSON"),
    "deep objects": ("a.json", lambda: b'{"a":' * MILLION, InvalidRequest, "too deep"),
    "half a list": ("a.json", lambda: b'[{"a":1},{"a":', InvalidRequest, "JSON"),
    "no JSON in line 2": ("a.jsonl", lambda: b'{"a":1}\n{oops\n', InvalidRequest, "JSON Lines"),
    "the same key twice": ("a.json", lambda: b'[{"a":1,"a":2},{"a":3,"a":4}]', InvalidRequest, "duplicate key"),
    "many columns": (
        "a.csv",
        lambda: b",".join(b"c%d" % n for n in range(MILLION)) + b"\n",
        FileTooLarge,
        "more than 2,000 columns",
    ),
    "many keys": (
        "a.json",
        lambda: b"[{" + b",".join(b'"k%d":1' % n for n in range(20_000)) + b"}]",
        FileTooLarge,
        "more than",
    ),
    "an endless line": ("a.csv", lambda: b"a,b\n" + b"x" * 20 * MILLION, InvalidRequest, "Maximum line size"),
    "zeros": ("a.csv", lambda: b"a,b\n1\0,2\n", InvalidRequest, "NUL"),
    "a late wide row": ("a.csv", lambda: b"a,b\n" + b"1,2\n" * 9999 + b"1,2,3\n", InvalidRequest, "record 10,000"),
    "half a Parquet": ("a.parquet", lambda: parquet()[:5000], InvalidRequest, "Parquet"),
    "an empty Parquet": ("a.parquet", lambda: b"", InvalidRequest, "Parquet"),
    "a footer too long": (
        "a.parquet",
        lambda: parquet()[:-8] + struct.pack("<I", 2**31 - 1) + b"PAR1",
        InvalidRequest,
        "Parquet",
    ),
}  # fmt: skip


def zipped(members: Mapping[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return written.getvalue()


@pytest.mark.parametrize("case", FILES)
async def test_hostile_files_end_in_an_error_that_says_what_is_wrong(tmp_path: Path, case: str) -> None:
    name, made, error, words = FILES[case]
    (tmp_path / name).write_bytes(made())
    with pytest.raises(error, match=words) as raised:
        await FolderSource(tmp_path).statistics(name)
    assert str(raised.value).startswith(f"source 'folder': '{name}' ")
    assert str(tmp_path) not in str(raised.value)
    assert "da-table" not in str(raised.value)


@pytest.mark.parametrize("case", ["a bomb in gzip", "many columns", "an endless line", "a late wide row"])
async def test_previews_of_hostile_files_end_too(tmp_path: Path, case: str) -> None:
    """What the beginning is good for is shown."""
    name, made, error, _ = FILES[case]
    (tmp_path / name).write_bytes(made())
    try:
        table = await FolderSource(tmp_path).preview(name)
    except error:
        return
    assert len(table.rows) == 10


async def test_entities_within_entities_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(workbook(laughs))
    assert (await FolderSource(tmp_path).preview("a.xlsx")).rows == [[None, 2]]


async def test_what_is_no_encoding_is_shown_as_it_can(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n\xff\xfe\x80,1\n\xc3\x28,2\n")
    assert [row[1] for row in (await FolderSource(tmp_path).preview("a.csv")).rows] == [1, 2]


@pytest.mark.long
async def test_two_thousand_columns_are_read(tmp_path: Path) -> None:
    header = ",".join(f"c{n}" for n in range(2000))
    (tmp_path / "a.csv").write_text(f"{header}\n" + f"{','.join('1' * 2000)}\n" * 20)
    source = FolderSource(tmp_path, defaults=SourceDefaults(timeouts=Timeouts(query_s=120)))
    assert (await source.preview("a.csv")).rows == [[1] * 2000] * 10
    assert [column.max for column in (await source.statistics("a.csv")).columns] == [1] * 2000


async def _outcome(source: FolderSource, name: str) -> None:
    for ask in (source.preview, source.statistics):
        try:
            await ask(name)
        except DeepAnalyzeError as error:
            if error.code not in ("invalid_request", "file_too_large", "not_supported", "query_timeout"):
                raise


async def test_damaged_files_never_do_worse_than_fail(tmp_path: Path) -> None:
    await damage(tmp_path, random.Random(1), times=2)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 20))
async def test_damaged_files_never_do_worse_than_fail_for_long(tmp_path: Path, seed: int) -> None:
    await damage(tmp_path, random.Random(seed), times=40)


async def damage(directory: Path, chance: random.Random, *, times: int) -> None:
    source = FolderSource(directory, defaults=SourceDefaults(timeouts=Timeouts(query_s=10)))
    for name, content in (
        ("a.parquet", parquet()),
        ("a.xlsx", workbook()),
        ("a.json", b'[{"a":1,"b":["x",{"c":null}]},{"a":2.5,"b":"\xc3\xa4"}]' * 1),
        ("a.csv", 'a,"b ""c""",d\n1,"x\ny",ä\n2,,3\n'.encode() * 20),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n" * 100)),
    ):
        for _ in range(times):
            damaged = bytearray(content)
            for _ in range(chance.choice([1, 5, 50])):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            (directory / name).write_bytes(
                damaged[: chance.choice([len(damaged), chance.randrange(1, len(damaged))])]
            )
            await _outcome(source, name)
