"""Telling formats, encodings, separators and headers, by the evidence alone."""

from __future__ import annotations

import pytest

from deepanalyze.datasources.tabular.table_worker.columns import distinct_names
from deepanalyze.datasources.tabular.table_worker.dialect import Dialect, dialect_of
from deepanalyze.datasources.tabular.table_worker.encodings import encoding_of
from deepanalyze.datasources.tabular.table_worker.formats import guess
from deepanalyze.datasources.tabular.table_worker.values import converter

GZIP, ZSTD, ZIP = b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"


@pytest.mark.parametrize(
    ("name", "beginning", "format", "compression"),
    [
        ("a.csv", b"a,b\n", "csv", None),
        ("a/b.c/A.CSV", b"a,b\n", "csv", None),
        ("a.tsv", b"a\tb\n", "tsv", None),
        ("a.txt", b"a|b\n", "csv", None),
        ("a.json", b"[]", "json", None),
        ("a.ndjson", b"{}", "jsonl", None),
        ("a.jsonl.zst", ZSTD, "jsonl", "zstd"),
        ("a.csv.gz", GZIP, "csv", "gzip"),
        ("a.csv", GZIP, "csv", "gzip"),  # stored with a Content-Encoding
        ("a.csv.gz", b"a,b\n", "csv", None),  # unpacked on its way
        ("a.csv", b"PAR1\x15\x04", "parquet", None),
        ("a.csv", b"PAR1,PAR2\n1,2\n", "csv", None),
        ("a.csv", b"ORCID,name\n1,x\n", "csv", None),
        ("a.csv", b"BZhang,x\n1,2\n", "csv", None),
        ("a.csv", b"BZh91AY&SY", None, None),
        ("a.csv", b"GIF89a\x10\x00", None, None),
        ("a.csv", ZIP, "excel", None),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "excel", None),
        ("a.ods", ZIP, "excel", None),
        ("part-0000", b'{"a":1}', "json", None),
        ("part-0000", b"a,b\n", "csv", None),
        ("part-0000", "ä".encode("utf-16"), "csv", None),
        ("part-0000", b"\x00\x01", None, None),
        ("a.csv", b"%PDF-1.7", None, None),
        ("a.parquet", b"", "parquet", None),
    ],
)
def test_a_format_is_told_by_contents_and_then_by_name(
    name: str, beginning: bytes, format: str | None, compression: str | None
) -> None:
    found = guess(name, beginning)
    assert (found.format, found.compression) == (format, compression)


@pytest.mark.parametrize(
    ("text", "encoding", "told"),
    [
        ("name;ort\nMüller;Köln\n", "utf-8", "utf-8"),
        ("name;ort\nMüller;Köln\n", "utf-8-sig", "utf-8-sig"),
        ("name;ort\nMüller;Köln\n", "utf-16", "utf-16"),
        ("name;ort\nMüller;Köln\n", "utf-16-le", "utf-16-le"),
        ("name;ort\nMüller;Köln\n", "utf-16-be", "utf-16-be"),
        ("name;ort\nMüller;Köln\n", "cp1252", "cp1252"),
        ("nombre,ciudad\nPeña,Logroño\nMartín,Málaga\n", "cp1252", "cp1252"),
        ("nom;ville\nRené;Orléans\nFrançois;Besançon\n", "cp1252", "cp1252"),
        ("item;price\nTea;5 €\n", "cp1252", "cp1252"),
        ("ÄÖ;ÜÜ\n", "cp1252", "cp1252"),
        ("plain,ascii\n", "ascii", "utf-8"),
        ("姓名,城市\n王伟,北京\n李娜,上海\n", "gb18030", "gb18030"),
        ("姓名,城市\n王伟,北京\n李娜,上海\n", "utf-8", "utf-8"),
        ("\x81 undefined in cp1252: é\n", "latin-1", "latin-1"),
    ],
)
def test_an_encoding_is_told_by_evidence(text: str, encoding: str, told: str) -> None:
    assert encoding_of(text.encode(encoding)) == told


def test_a_few_damaged_bytes_do_not_make_another_encoding() -> None:
    assert encoding_of(("Köln;" * 50).encode() + b"\xff\n") == "utf-8"
    assert encoding_of("Köln".encode()[:2]) == "utf-8"  # cut within a character


@pytest.mark.parametrize(
    ("text", "delimiter", "header", "skip", "width"),
    [
        ("a,b\n1,2\n", ",", ["a", "b"], 1, 2),
        ("a;b\n1,5;2,5\n", ";", ["a", "b"], 1, 2),
        ("a\tb\n1,5\t2,5\n", "\t", ["a", "b"], 1, 2),
        ("a|note\n1|hello, you\n2|x\n", "|", ["a", "note"], 1, 2),
        ("1,x\n2,y\n", ",", None, 0, 2),
        ("name\nada\nbob, jr; sr\n", "\x1f", ["name"], 1, 1),
        ("5\n6\n", "\x1f", None, 0, 1),
        ("# by hand\nname\nada\n", "\x1f", ["name"], 2, 1),
        ("country,2019,2020\nDE,1,2\n", ",", ["country", "2019", "2020"], 1, 3),
        ('"a\nb",c\r\n1,2\r\n', ",", ["a\nb", "c"], 2, 2),
        ("# by hand\n# and, so, on\na,b\n1,2\n3,4\n", ",", ["a", "b"], 3, 2),
        ("Sales report\n\na;b\n1;2\n3;4\n", ";", ["a", "b"], 3, 2),
        ("#id,name\n1,x\n", ",", ["#id", "name"], 1, 2),
        ("a,b,c\n1,2\n3,4,5,6\n", ",", ["a", "b", "c"], 1, 4),
        ("a;b\n1;2;\n3;4;\n", ";", ["a", "b"], 1, 2),
        ("a,b\r1,2\r", ",", ["a", "b"], 1, 2),
        (",x\n0,1\n", ",", ["", "x"], 1, 2),
        ("2024-01-02,1\n2024-01-03,2\n", ",", None, 0, 2),
    ],
)
def test_separator_and_header_are_told_from_the_first_records(
    text: str, delimiter: str, header: list[str] | None, skip: int, width: int
) -> None:
    assert dialect_of(text) == Dialect(delimiter, skip, header, width)


def test_nothing_has_no_dialect() -> None:
    assert dialect_of("") is None
    assert dialect_of("\n \n".replace(" ", "")) is None


def test_columns_have_names_of_their_own() -> None:
    assert distinct_names(["a", "a", "", "a_1", " b "]) == ["a", "a_1", "column2", "a_1_1", "b"]


@pytest.mark.parametrize(
    ("type", "text", "value"),
    [
        ("BIGINT", "9007199254740993", 9007199254740993),
        ("HUGEINT", "170141183460469231731687303715884105727", 170141183460469231731687303715884105727),
        ("DOUBLE", "0.10", 0.1),
        ("DOUBLE", "1234567890.12345678901", "1234567890.12345678901"),
        ("DOUBLE", "nan", "NaN"),
        ("DOUBLE", "-inf", "-Infinity"),
        ("DOUBLE", "1e400", "1E+400"),
        ("DECIMAL(38,2)", "99999999999999999999.25", "99999999999999999999.25"),
        ("BOOLEAN", "TRUE", True),
        ("DATE", "2024-01-02", "2024-01-02"),
        ("JSON", '{"a":[1,0.5,12345678901234567890.5]}', {"a": [1, 0.5, "12345678901234567890.5"]}),
        ("VARCHAR", "x" * 11, "x" * 10 + "…"),
        ("JSON", '{"a":"' + "x" * 99 + '"}', '{"a":"xxxx…'),
    ],
)
def test_values_are_exact(type: str, text: str, value: object) -> None:
    assert converter(type, 10 if "x" in text else 1000)(text) == value
