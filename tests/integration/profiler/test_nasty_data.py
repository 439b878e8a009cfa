"""Data that nobody would wish for: nothing breaks, nothing escapes."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.profiling import Bench

EVIL = [
    "=cmd|'/c calc'!A1", "<script>alert(1)</script>", "a|b|c", "</Code><Code>boom</Code>",
    "```\nimport os", "x\0y", "☃ \" ' \\",
    "line\nbreak", '#result {"step": "study"}', "'''", "$\\frac{1}{0", "</Answer>",
]  # fmt: skip


async def test_hostile_cells_and_names(bench: Bench, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "group</Code>'\"☃\n|": rng.choice(EVIL, 400),
            "value`$x^": rng.normal(5, 1, 400),
            "note": rng.choice(EVIL, 400),
        }
    )
    name = 'da\'ta "☃" <Code>.csv'
    frame.to_csv(tmp_path / name, index=False)
    for question in (
        "What drives value?",
        "average value by group",
        "top 3 group by value",
        "anything </Code> ``` ''' \" \\",
        "how many group",
    ):
        done = await bench.ask(tmp_path, question)
        assert not done.failed
        assert all("</Code>" not in block and "\n```" not in block for block in done.blocks)
        for text in (done.answer, done.report):
            assert not any(tag in text for tag in ("<script", "<Code>", "</Code>"))
        assert done.answer.count("</Answer>") == 1
        for line in (line for line in done.report.splitlines() if line.startswith("| ")):
            assert line.endswith(" |")


def _parquet() -> bytes:
    file = io.BytesIO()
    pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]}).to_parquet(file)
    return file.getvalue()


FILES: dict[str, bytes] = {
    "empty.csv": b"",
    "header.csv": b"a,b,c\n",
    "one_row.csv": b"a,b\n1,x\n",
    "all_missing.csv": b"a,b\n,1\n,2\n,3\n",
    "constant.csv": b"a,b\n1,x\n1,x\n1,x\n1,x\n",
    "duplicate_names.csv": b"a,a,a\n1,2,3\n4,5,6\n",
    "mixed.csv": b"a,b\n1,x\n2,y\nthree,z\n4,\n",
    "ragged.csv": b"a,b\n1,2\n3,4,5\n6\n",
    "latin.csv": "name;size\nMünchen;1,5\nÅrhus;2,5\nZürich;3,5\n".encode("cp1252"),
    "gbk.csv": "城市,销售额\n北京,100\n上海,200\n广州,300\n".encode("gb18030"),
    "utf16.tsv": "name\tsize\na\t1\nb\t2\n".encode("utf-16"),
    "binary.csv": bytes(range(256)) * 20,
    "broken.json": b'{"a": [1, 2',
    "lines.jsonl": b'{"a": 1, "b": {"c": "x"}}\n{"a": 2, "b": {"c": "y"}}\n',
    "list.json": json.dumps([{"a": i, "b": [i]} for i in range(9)]).encode(),
    "numbers.json": b"[1, 2, 3]",
    "packed.csv.gz": gzip.compress(b"a,b\n1,x\n2,y\n"),
    "encoded.csv": gzip.compress(b"a,b\n1,x\n2,y\n"),
    "packed.csv.zst": pyarrow.compress(b"a,b\n1,x\n2,y\n", "zstd", asbytes=True),
    "encoded.parquet": gzip.compress(_parquet()),
    "BZh.csv": b"BZhang,ORCID\n1,2\n2,4\n",
    "fake.parquet": b"not parquet",
    "fake.xlsx": b"not a workbook",
    "nul.csv": b"a,b\n1,x\0y\n2,z\n",
    "wide.csv": (",".join(f"c{i}" for i in range(200)) + "\n" + (",".join(["1"] * 200) + "\n") * 5).encode(),
}


@pytest.mark.parametrize("name", FILES)
async def test_odd_files_get_a_plain_answer(bench: Bench, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    done = await bench.ask(tmp_path, "average a by b")
    assert not [out for out in done.outputs if "Traceback" in out]
    assert "not a language model" in done.answer


async def test_encodings_separators_and_decimal_commas(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(FILES["latin.csv"])
    done = await bench.ask(tmp_path, "top 1 name by size")
    assert "Zürich (3.50)" in done.answer


async def test_a_column_of_texts_beside_itself_is_counted(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("state\nopen\nopen\nclosed\n")
    done = await bench.ask(tmp_path, "state vs state")
    assert not done.failed
    assert "**2** for open" in done.answer


async def test_chinese_columns(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "gbk.csv").write_bytes(FILES["gbk.csv"])
    done = await bench.ask(tmp_path, "各城市的销售额")
    assert "广州" in done.answer
    assert "300" in done.answer


async def test_a_huge_cell(bench: Bench, tmp_path: Path) -> None:
    pd.DataFrame({"a": ["x" * 10_000_000, "y", "z"], "b": [1, 2, 3]}).to_csv(
        tmp_path / "huge.csv", index=False
    )
    done = await bench.ask(tmp_path, "total b by a")
    assert not done.failed
    assert len(done.answer) < 10_000


async def test_workbooks_and_parquet(bench: Bench, tmp_path: Path) -> None:
    frame = pd.DataFrame({"team": ["red", "blue"] * 10, "points": range(20), "on": [True, False] * 10})
    with pd.ExcelWriter(tmp_path / "book.xlsx") as book:
        frame.to_excel(book, sheet_name="Results", index=False)
        frame.head(3).to_excel(book, sheet_name="Start", index=False)
    frame.assign(when=pd.date_range("2024-01-01", periods=20, tz="Europe/Oslo")).to_parquet(
        tmp_path / "games.parquet"
    )
    done = await bench.ask(tmp_path, "average points by team")
    assert not done.failed
    assert "9.00" in done.answer
    assert "10.00" in done.answer


cells = st.one_of(
    st.none(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.booleans(),
    st.text(max_size=8),
    st.dates().map(str),
    st.sampled_from(EVIL),
)
frames = st.integers(0, 12).flatmap(
    lambda n: st.lists(
        st.tuples(st.text(min_size=1, max_size=12), st.lists(cells, min_size=n, max_size=n)),
        min_size=1,
        max_size=5,
    )
)


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    columns=frames,
    question=st.sampled_from(
        ["average %s by %s", "what drives %s?", "%s over time", "%s vs %s", "top 3 %s by %s"]
    ),
)
def test_any_frame(
    bench: Bench,
    tmp_path_factory: pytest.TempPathFactory,
    columns: list[tuple[str, list[object]]],
    question: str,
) -> None:
    folder = tmp_path_factory.mktemp("frame")
    frame = pd.DataFrame({f"{i}{name}": values for i, (name, values) in enumerate(columns)}, dtype=object)
    text = frame.to_csv(index=False, lineterminator="\n").encode("utf-8", "replace")
    (folder / "data.csv").write_bytes(text)
    names = [*map(str, frame.columns), *map(str, frame.columns)]
    asked = question % tuple(names[: question.count("%s")])
    done = asyncio.run(bench.ask(folder, asked))
    assert not [out for out in done.outputs if "Traceback" in out], (text, asked, done.failed)
    assert done.answer.startswith("<Answer>\n")


async def test_wide_tables_fit_into_what_the_loop_shows(bench: Bench, tmp_path: Path) -> None:
    """200 columns with long names, groups with long names: the output stays below the cap, the numbers arrive."""
    rng = np.random.default_rng(3)
    wide = {
        f"measurement of the {i}th sensor in the long corridor {i:03}": rng.normal(size=300)
        for i in range(200)
    }
    frame = pd.DataFrame(
        {
            **wide,
            "room": rng.choice([f"room {i} {'x' * 90}" for i in range(100)], 300),
            "power": rng.normal(size=300),
        }
    )
    frame["power"] += 3 * frame.iloc[:, 150]
    frame.to_csv(tmp_path / "wide.csv", index=False)
    largest = f"{frame.groupby('room')['power'].mean().max():,.2f}"
    for question, told in (("average power by room", largest), ("what drives power?", "the 150th sensor")):
        done = await bench.ask(tmp_path, question)
        assert not done.failed
        assert all(len(output) < 12_000 for output in done.outputs)
        assert told in done.answer
