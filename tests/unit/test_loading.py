"""Texts as PostgreSQL writes them, as the kernel's `load` gives them back."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import math
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepanalyze.datasources import Column, FetchedFile
from deepanalyze.datasources.provenance import MANIFESTS, provenance, write_manifest
from deepanalyze.sandbox.inside import deepanalyze_kernel
from deepanalyze.sandbox.inside.deepanalyze_kernel import loading, typed
from deepanalyze.workspace.directory import ANNOTATIONS

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20) | st.sampled_from(
    ["", "NULL", "null", "\\.", '"', "\r\n", "\r", "\n", "\ufeff", "{}", "\\", ",", "nan", "007", " "]
)
ROWS = st.lists(st.lists(st.none() | TEXTS, min_size=2, max_size=2), max_size=8)


def copied(rows: Sequence[Sequence[str | None]]) -> str:
    """As COPY writes CSV: nothing for NULL, quotes where they are needed, and for the empty text."""

    def field(value: str | None) -> str:
        if value is None:
            return ""
        if value == "" or any(character in value for character in ',"\r\n') or value == "\\.":
            return '"' + value.replace('"', '""') + '"'
        return value

    return "".join(",".join(map(field, row)) + "\n" for row in rows)


def read(
    path: Path, kinds: Sequence[str], rows: Sequence[Sequence[str | None]], **options: Any
) -> pd.DataFrame:
    names = [f"c{number}" for number in range(len(kinds))]
    path.write_text(copied([names, *rows]), newline="")
    columns = [{"name": name, "type": kind} for name, kind in zip(names, kinds, strict=True)]
    return typed.read_csv(path, columns, options.get("decimals", "exact"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loading") / "x.csv"


def column(file: Path, kind: str, *texts: str | None, **options: Any) -> pd.Series[Any]:
    found = read(file, [kind], [[text] for text in texts], **options)
    return found["c0"]


@given(rows=ROWS)
def test_null_and_every_text_come_back_as_they_were(file: Path, rows: list[list[str | None]]) -> None:
    frame = read(file, ["text", "character varying(20)"], rows)
    assert [list(row) for row in frame.itertuples(index=False)] == rows


@given(values=st.lists(st.none() | TEXTS, max_size=8))
def test_a_column_alone_keeps_its_nulls(file: Path, values: list[str | None]) -> None:
    assert column(file, "text", *values).tolist() == values


@given(names=st.lists(TEXTS.filter(bool), min_size=1, max_size=3))
def test_the_header_may_hold_anything(file: Path, names: list[str]) -> None:
    file.write_text(copied([names, ["1"] * len(names)]), newline="")
    frame = typed.read_csv(file, [{"name": name, "type": "integer"} for name in names], "exact")
    assert list(frame.columns) == names
    assert frame.iloc[0].tolist() == [1] * len(names)


@pytest.mark.parametrize("rows", [1, 3])
def test_a_value_may_be_larger_than_what_is_read_at_once(
    file: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(typed, "_BLOCK_BYTES", 100)
    texts = ["a\n" * 5_000 + str(row) for row in range(rows)]
    frame = read(file, ["text", "integer"], [[text, "1"] for text in texts])
    assert frame["c0"].tolist() == texts


def test_whole_numbers_stay_whole(file: Path) -> None:
    beside_nulls = column(file, "bigint", "9223372036854775807", None, "-9223372036854775808")
    assert str(beside_nulls.dtype) == "Int64"
    assert beside_nulls[0] == 2**63 - 1
    assert beside_nulls[2] == -(2**63)
    assert beside_nulls.isna().tolist() == [False, True, False]
    assert str(column(file, "smallint", "1").dtype) == "int64"


def test_floats_keep_null_and_nan_apart(file: Path) -> None:
    both = column(file, "double precision", "NaN", None, "1.5", "-Infinity")
    assert both.isna().tolist() == [False, True, False, False]
    assert math.isnan(both[0])
    assert both[3] == -math.inf
    assert str(column(file, "real", "0.1", None).dtype) == "float64"
    assert column(file, "real", "0.1")[0] == 0.1


def test_exact_numbers_are_exact_or_floats_on_request(file: Path) -> None:
    exact = column(file, "numeric(30,10)", "12345678901234567890.0000000001", None, "NaN")
    assert exact[0] == Decimal("12345678901234567890.0000000001")
    assert exact[1] is None
    assert exact[2].is_nan()
    floats = column(file, "numeric", "0.1", None, "NaN", decimals="float")
    assert floats[0] == 0.1
    assert floats.isna().tolist() == [False, True, False]
    assert column(file, "numeric(3,1)[]", "{0.1,NULL}", decimals="float")[0] == [0.1, None]


def test_booleans(file: Path) -> None:
    assert str(column(file, "boolean", "true", "false").dtype) == "bool"
    assert column(file, "boolean", "true", None, "false").tolist() == [True, pd.NA, False]


def test_times_have_their_zone_and_keep_their_microseconds(file: Path) -> None:
    zoned = column(
        file,
        "timestamp(6) with time zone",
        "2013-01-01 05:00:00.000001+05:30",
        None,
        "1890-01-01 00:00:00+00:53:28",
    )
    assert zoned[0] == pd.Timestamp("2012-12-31 23:30:00.000001", tz="UTC")
    assert zoned[2] == pd.Timestamp("1889-12-31 23:06:32", tz="UTC")
    assert str(zoned.dtype) == "datetime64[us, UTC]"
    plain = column(file, "timestamp without time zone", "0001-01-01 00:00:00.000001", None)
    assert (str(plain.dtype), plain[0].microsecond) == ("datetime64[us]", 1)
    assert column(file, "date", "9999-12-31")[0] == pd.Timestamp("9999-12-31")


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("date", ["2013-01-01", "infinity"]),
        ("date", ["0044-03-15 BC", None]),
        ("timestamp without time zone", ["-infinity", "2013-01-01 05:00:00"]),
        ("timestamp with time zone", ["2013-01-01 05:00:00+00", "0044-03-15 00:00:00+00 BC"]),
        ("timestamp with time zone", ["10000-01-01 00:00:00+00"]),
        ("interval", ["1 mon", "00:00:01"]),
        ("interval", ["infinity"]),
        ("time without time zone", ["24:00:00", "05:06:07.5"]),
        ("int4range", ["[1,5)", None, "empty"]),
        ("jsonb", ['{"a": 1}', "null"]),
        ("uuid", ["00000000-0000-0000-0000-000000000001"]),
        ("mood", ["happy", ""]),
        ("text", ["1e5", "NA", "None", "true", "2013-01-01"]),
    ],
)
def test_what_pandas_has_no_type_for_stays_text(file: Path, kind: str, texts: list[str | None]) -> None:
    assert column(file, kind, *texts).tolist() == texts


@given(value=st.timedeltas(dt.timedelta(days=-(10**6)), dt.timedelta(days=10**6)))
def test_intervals_of_days_and_time_are_spans(file: Path, value: dt.timedelta) -> None:
    """Written with the days' and the time's own sign, as PostgreSQL does."""
    days, rest = divmod(abs(value), dt.timedelta(days=1))
    hours, seconds = divmod(rest.seconds, 3600)
    clock = f"{hours:02}:{seconds // 60:02}:{seconds % 60:02}.{rest.microseconds:06}"
    sign = "-" if value < dt.timedelta(0) else ""
    assert column(file, "interval", f"{sign}{days} days {sign}{clock}", None)[0] == value
    assert column(file, "interval(6)", f"{sign}{clock}")[0] == (-rest if sign else rest)


def test_a_negative_day_with_hours_that_add(file: Path) -> None:
    spans = column(file, "interval", "-1 days +02:03:04", "1 day -00:00:01", "2 days", "00:00:00")
    assert spans.tolist() == [
        pd.Timedelta(days=-1, hours=2, minutes=3, seconds=4),
        pd.Timedelta(days=1, seconds=-1),
        pd.Timedelta(days=2),
        pd.Timedelta(0),
    ]


def literal(value: Any) -> str:
    """An array as PostgreSQL writes it."""
    if isinstance(value, list):
        return "{" + ",".join(map(literal, value)) + "}"
    if value is None:
        return "NULL"
    needs_quotes = value == "" or value.upper() == "NULL" or any(c in value for c in '{}",\\ \t\n\r\v\f')
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if needs_quotes else value


@given(value=st.lists(st.none() | TEXTS, max_size=5))
def test_arrays_of_texts(file: Path, value: list[str | None]) -> None:
    assert column(file, "text[]", literal(value), None).tolist() == [value, None]


@given(value=st.lists(st.lists(st.none() | TEXTS, min_size=2, max_size=2), min_size=1, max_size=3))
def test_arrays_of_arrays(file: Path, value: list[list[str | None]]) -> None:
    assert column(file, "character varying(9)[]", literal(value))[0] == value


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer[]", "{1,NULL,-3}", [1, None, -3]),
        ("integer[]", "[0:1][2:3]={{1,2},{3,4}}", [[1, 2], [3, 4]]),
        ("integer[]", "[5:6]={1,2}", [1, 2]),
        ("integer[]", "{}", []),
        ("numeric(4,2)[]", "{0.10,NULL}", [Decimal("0.10"), None]),
        ("double precision[]", "{1.5,Infinity}", [1.5, math.inf]),
        ("boolean[]", "{t,f,NULL}", [True, False, None]),
        ("bytea[]", '{"\\\\xdead",NULL}', [b"\xde\xad", None]),
        ("box[]", "{(1,1),(0,0);(3,3),(2,2)}", ["(1,1),(0,0)", "(3,3),(2,2)"]),
        ("date[]", "{2013-01-01}", [dt.date(2013, 1, 1)]),
        ("date[]", "{2013-01-01,infinity}", ["2013-01-01", "infinity"]),
        ("timestamp without time zone[]", '{"2013-01-01 05:00:00"}', [dt.datetime(2013, 1, 1, 5)]),  # noqa: DTZ001
        (
            "timestamp with time zone[]",
            '{"2013-01-01 05:00:00+05"}',
            [dt.datetime(2013, 1, 1, 0, tzinfo=dt.UTC)],
        ),
        ("time without time zone[]", "{05:06:07.5}", ["05:06:07.5"]),
    ],
)
def test_arrays_of_other_things(file: Path, kind: str, text: str, value: list[Any]) -> None:
    assert column(file, kind, text)[0] == value


def test_bytes(file: Path) -> None:
    assert column(file, "bytea", "\\xdeadbeef", None, "\\x").tolist() == [b"\xde\xad\xbe\xef", None, b""]


def test_what_is_noted_is_found_from_wherever_code_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = FetchedFile(
        "deep/x.csv", "ds-1", "pg", "postgresql", 6, 1, columns=(Column("a", "text"),), format="csv"
    )
    (tmp_path / "deep").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "deep" / "x.csv").write_text("a\n007\n")
    note = write_manifest(tmp_path, fetched)
    assert json.loads(note.read_text()) == json.loads(json.dumps(provenance(fetched)))
    assert write_manifest(tmp_path, fetched) == note
    assert [path.name for path in note.parent.iterdir()] == ["x.csv.json"]
    for directory, name in {".": "deep/x.csv", "deep": "x.csv", "elsewhere": "../deep/x.csv"}.items():
        monkeypatch.chdir(tmp_path / directory)
        assert loading.load(name)["a"].tolist() == ["007"]
        assert loading.load(Path(name).absolute())["a"].tolist() == ["007"]


@pytest.mark.parametrize("note", ["[]", "{", '{"bytes": 6, "format": "csv"}', "\xff"])
def test_a_note_that_is_none_of_ours_does_no_harm(tmp_path: Path, note: str) -> None:
    (tmp_path / MANIFESTS).mkdir()
    (tmp_path / MANIFESTS / "x.csv.json").write_text(note, "latin-1")
    (tmp_path / "x.csv").write_text("a\n007\n")
    assert loading.load(tmp_path / "x.csv")["a"].tolist() == [7]


def test_files_without_a_note_are_read_by_their_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"a": [1, 2]})
    frame.to_csv("x.csv", index=False)
    frame.to_csv("x.tsv", index=False, sep="\t")
    frame.to_parquet("x.parquet")
    frame.to_excel("x.xlsx", index=False)
    frame.to_json("x.json")
    frame.to_json("X.JSONL", orient="records", lines=True)
    for name in ("x.csv", "x.tsv", "x.parquet", "x.xlsx", "x.json", "X.JSONL"):
        assert loading.load(name)["a"].tolist() == [1, 2], name
    packed = gzip.compress(Path("x.csv").read_bytes())
    Path("x.csv.gz").write_bytes(packed)
    Path("plain name.csv").write_bytes(packed)  # as a blob whose Content-Encoding is gzip arrives
    Path("x.JSONL.zst").write_bytes(pa.compress(Path("X.JSONL").read_bytes(), "zstd", asbytes=True))
    for name in ("x.parquet", "x.xlsx"):
        Path(f"packed {name}").write_bytes(gzip.compress(Path(name).read_bytes()))
        Path(f"{name}.zst").write_bytes(pa.compress(Path(name).read_bytes(), "zstd", asbytes=True))
    names = ("x.csv.gz", "plain name.csv", "x.JSONL.zst", "packed x.parquet", "packed x.xlsx", "x.xlsx.zst")
    for name in (*names, "x.parquet.zst"):
        assert loading.load(name)["a"].tolist() == [1, 2], name
    with pytest.raises(FileNotFoundError, match=r"no file 'x\.cvs' here; there is 'x\.csv'"):
        loading.load("x.cvs")


def test_everybody_means_the_same_folder_and_function() -> None:
    assert MANIFESTS == ANNOTATIONS == loading._NOTES
    assert deepanalyze_kernel.load is loading.load
    with pytest.raises(AttributeError, match="unload"):
        _ = deepanalyze_kernel.unload
